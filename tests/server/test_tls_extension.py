"""Names of clients, as applications see them. Real certificates are in test_certificates.py."""

from __future__ import annotations

import ssl
from typing import Any

import pytest
from cryptography.x509 import Name, NameAttribute, RelativeDistinguishedName
from cryptography.x509.oid import NameOID
from hypothesis import given, strategies as st

from triows._server.tls import Credentials
from triows._server.tls_extension import Described

#: Each kind of part, as the ssl module names it.
KINDS = {
    "commonName": NameOID.COMMON_NAME,
    "localityName": NameOID.LOCALITY_NAME,
    "stateOrProvinceName": NameOID.STATE_OR_PROVINCE_NAME,
    "organizationName": NameOID.ORGANIZATION_NAME,
    "organizationalUnitName": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "streetAddress": NameOID.STREET_ADDRESS,
    "domainComponent": NameOID.DOMAIN_COMPONENT,
    "userId": NameOID.USER_ID,
}

values = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
parts = st.tuples(st.sampled_from(sorted(KINDS)), values | st.sampled_from(["#a", " a ", "a, b"]))
subjects = st.lists(st.lists(parts, min_size=1, max_size=2, unique_by=lambda part: part[0]))


class PlayedConnection:
    """A connection whose client has shown a certificate with this subject."""

    def __init__(self, subject: Any) -> None:
        self._subject = subject

    def getpeercert(self, *, binary_form: bool = False) -> Any:
        return b"certificate" if binary_form else {"subject": self._subject}

    def version(self) -> str:
        return "TLSv1.3"

    def cipher(self) -> tuple[str, str, int]:
        return "TLS_AES_256_GCM_SHA384", "TLSv1.3", 256


SHOWN = Credentials(
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), "certificate", {"TLS_AES_256_GCM_SHA384": 0x1302}
)


def described(subject: Any) -> Described:
    return Described(SHOWN, PlayedConnection(subject))  # type: ignore[arg-type]


@given(subjects)
def test_the_name_of_a_client_is_what_cryptography_writes(subject):
    name = Name(
        RelativeDistinguishedName(NameAttribute(KINDS[kind], value) for kind, value in part)
        for part in subject
    )
    told = described(subject).extension()["client_cert_name"]
    assert told == (name.rfc4514_string() or None)


def test_a_part_that_rfc_4514_does_not_know_has_the_name_that_openssl_has():
    subject = ((("commonName", "a"),), (("emailAddress", "a@b"),))
    assert described(subject).extension()["client_cert_name"] == "emailAddress=a@b,CN=a"


@pytest.mark.parametrize("key", ["cipher_suite", "server_cert"])
def test_what_one_request_does_to_the_description_no_other_sees(key):
    connection = described(())
    connection.extension()[key] = "changed"
    assert connection.extension()[key] != "changed"
