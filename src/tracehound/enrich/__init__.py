"""Address -> network, provider, country, access type and names; offline."""
