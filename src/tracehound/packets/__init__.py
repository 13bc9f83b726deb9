"""Record offsets -> packets: link layer, IP, transport, fragments. Everything becomes a row; oddities become notes."""
