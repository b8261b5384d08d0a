"""A certificate authority of one's own, and what it signs: for a Kafka in a room that has none."""

import datetime
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from labsupport.connection import Secret

DAYS = 400


@dataclass(frozen=True)
class Certificate:
    """A certificate and its private key (PKCS#8, which Kafka reads), both as PEM texts."""

    text: str
    key: Secret

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of the certificate, as people compare it."""
        digest = x509.load_pem_x509_certificate(self.text.encode()).fingerprint(hashes.SHA256())
        return digest.hex(":").upper()


def authority(name: str, days: float = DAYS) -> Certificate:
    """Make an authority that signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    usage = x509.KeyUsage(
        digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    builder = (
        _builder(name, _named(name), key, days)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
    )
    return _signed(builder, key, key)


def issue(by: Certificate, name: str, hosts: Sequence[str] = (), days: float = DAYS) -> Certificate:
    """Make a certificate that `by` signs: for a server at these host names and addresses, or a client without any.

    It is valid from now on for `days`; negative ones give one that has expired.
    """
    issuer = x509.load_pem_x509_certificate(by.text.encode())
    signs = serialization.load_pem_private_key(by.key.encode(), None)
    assert isinstance(signs, ec.EllipticCurvePrivateKey), "made by `authority`"
    key = ec.generate_private_key(ec.SECP256R1())
    purpose = ExtendedKeyUsageOID.SERVER_AUTH if hosts else ExtendedKeyUsageOID.CLIENT_AUTH
    builder = (
        _builder(name, issuer.subject, key, days)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signs.public_key()), critical=False)
    )
    if hosts:
        builder = builder.add_extension(x509.SubjectAlternativeName([_host(each) for each in hosts]), critical=False)
    return _signed(builder, key, signs)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _host(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _builder(name: str, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, days: float) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    begin = now - datetime.timedelta(days=1 + max(0.0, -days))  # clocks differ
    return (
        x509.CertificateBuilder()
        .subject_name(_named(name))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _signed(
    builder: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey, signs: ec.EllipticCurvePrivateKey
) -> Certificate:
    certificate = builder.sign(signs, hashes.SHA256())
    pkcs8 = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Certificate(certificate.public_bytes(serialization.Encoding.PEM).decode(), Secret(pkcs8.decode()))
