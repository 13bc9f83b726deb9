"""In: nothing but the installed package. Out: the data files that lie in it, as text or bytes.
Never here: understanding them (detectors/catalog.py, profiles/, enrich/)."""

from __future__ import annotations

import io
from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tracehound.enrich.hardware import HardwareTable
    from tracehound.enrich.networks import AddressTable


def detector_pages() -> dict[str, str]:
    """File name -> text of every detector."""
    folder = resources.files("tracehound.detectors")
    return {f.name: f.read_text(encoding="utf-8") for f in folder.iterdir() if f.name.endswith(".sql")}


def profile_texts() -> dict[str, str]:
    """File name -> text of every malware profile."""
    folder = resources.files("tracehound.profiles").joinpath("families")
    return {f.name: f.read_text(encoding="utf-8") for f in folder.iterdir() if f.name.endswith(".toml")}


def provider_text() -> str:
    """The table of provider kinds (enrich/data/providers.toml)."""
    return resources.files("tracehound.enrich").joinpath("data/providers.toml").read_text(encoding="utf-8")


def address_table() -> AddressTable:
    """The address table of the package (enrich/data/*.parquet) as a value; about 50 ms, 6 MB."""
    import pyarrow.parquet as pq

    from tracehound.enrich.networks import AddressTable

    folder = resources.files("tracehound.enrich").joinpath("data")
    names = ("asn_ipv4", "asn_ipv6", "country_ipv4", "country_ipv6", "names")
    part = {n: pq.read_table(io.BytesIO(folder.joinpath(f"{n}.parquet").read_bytes())) for n in names}

    def meta(name: str, key: str) -> str:
        return str(part[name].schema.metadata[key.encode()].decode())

    return AddressTable(
        v4_start=part["asn_ipv4"]["start"].to_numpy(),
        v4_asn=part["asn_ipv4"]["asn"].to_numpy(),
        v4_country_start=part["country_ipv4"]["start"].to_numpy(),
        v4_country=part["country_ipv4"]["country"].to_numpy(),
        v6_start=part["asn_ipv6"]["start"].to_numpy(),
        v6_asn=part["asn_ipv6"]["asn"].to_numpy(),
        v6_country_start=part["country_ipv6"]["start"].to_numpy(),
        v6_country=part["country_ipv6"]["country"].to_numpy(),
        countries_v4=("", *meta("country_ipv4", "countries").split()),
        countries_v6=("", *meta("country_ipv6", "countries").split()),
        name_asn=part["names"]["asn"].to_numpy(),
        names=part["names"]["name"].combine_chunks(),
        date=meta("asn_ipv4", "date"),
        attribution=meta("asn_ipv4", "attribution"),
    )


def hardware_table() -> HardwareTable:
    """The table of hardware makers (enrich/data/hardware.parquet) as a value."""
    import pyarrow.parquet as pq

    from tracehound.enrich.hardware import HardwareTable

    data = resources.files("tracehound.enrich").joinpath("data/hardware.parquet").read_bytes()
    table = pq.read_table(io.BytesIO(data))
    meta = table.schema.metadata
    return HardwareTable(
        prefix=table["prefix"].to_numpy(),
        digits=table["digits"].to_numpy(),
        maker=table["maker"].combine_chunks().dictionary_encode(),
        date=meta[b"date"].decode(),
        attribution=meta[b"attribution"].decode(),
    )
