"""Certificates of every kind, made for one test."""

import datetime as dt
import itertools
from dataclasses import dataclass
from pathlib import Path

import trustme

_numbers = itertools.count(1)
_LONG_AGO = dt.datetime(2001, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True)
class Issued:
    """The paths of a certificate with its chain, and of its key."""

    certificate: Path
    key: Path

    def replace_by(self, other: "Issued") -> None:
        """Puts another certificate where this one is, as one who rotates does: one file after the other."""
        self.key.write_bytes(other.key.read_bytes())
        self.certificate.write_bytes(other.certificate.read_bytes())


class Authority:
    def __init__(self, directory: Path) -> None:
        self._ca = trustme.CA()
        self._directory = directory
        self.file = directory / f"ca{next(_numbers)}.pem"
        self._ca.cert_pem.write_to_path(str(self.file))

    def issue(self, *names: str, expired: bool = False) -> Issued:
        leaf = self._ca.issue_cert(*names, not_after=_LONG_AGO) if expired else self._ca.issue_cert(*names)
        path = self._directory / f"{names[0]}{next(_numbers)}"
        issued = Issued(certificate=path.with_suffix(".pem"), key=path.with_suffix(".key"))
        issued.certificate.write_bytes(b"".join(pem.bytes() for pem in leaf.cert_chain_pems))
        leaf.private_key_pem.write_to_path(str(issued.key))
        return issued
