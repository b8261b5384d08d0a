"""Why a node does not let a client in, in a sentence that begins with the node (pure). None holds a secret."""

import ssl
from collections.abc import Sequence

from labsupport.connection import Connection

SPEAKS_TLS = "speaks TLS: security.protocol is SASL_SSL (with a user) or SSL"
ILLEGAL_SASL_STATE = 34
# OpenSSL's codes of X509_verify_cert.
EXPIRED, NOT_YET, HOST_NAME, IP_ADDRESS = 10, 9, 62, 64
WANTED = ("CERTIFICATE_REQUIRED", "BAD_CERTIFICATE", "UNKNOWN_CA", "CERTIFICATE_UNKNOWN", "HANDSHAKE_FAILURE")


def is_tls(received: bytes) -> bool:
    """Whether a node answered a request in plain text with TLS's alert."""
    return received[:2] == b"\x15\x03"


def of_silence(connection: Connection) -> str:
    """The node closed the connection instead of an answer."""
    if connection.sasl:
        return "closed the connection without an answer (is it a Kafka, and is that the port for users?)"
    wants = "a user: security.protocol is SASL_SSL" if connection.tls else "TLS or a user (LAB_KAFKA_CONFIG)"
    return f"closed the connection without an answer: it does not speak Kafka, or wants {wants}"


def of_tls(error: Exception, host: str, connection: Connection) -> str:
    """The TLS handshake failed."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _of_certificate(error, host, connection)
    reason = (getattr(error, "reason", None) or "") if isinstance(error, ssl.SSLError) else ""
    if any(word in reason for word in WANTED):
        mine = "does not accept your certificate" if connection.certificate else "wants a certificate of yours"
        settings = "ssl.keystore.certificate.chain and ssl.keystore.key, or ssl.keystore.location, in PEM"
        return f"{mine} ({reason.lower().replace('_', ' ')}): {settings}"
    if reason and "EOF" not in reason and "WRONG_VERSION" not in reason and "RECORD_LAYER" not in reason:
        return f"ended TLS: {reason.lower().replace('_', ' ')}"
    plain = "SASL_PLAINTEXT" if connection.sasl else "PLAINTEXT"
    return f"closes the connection where TLS begins: use its port for TLS, or security.protocol={plain}"


def _of_certificate(error: ssl.SSLCertVerificationError, host: str, connection: Connection) -> str:
    if error.verify_code == EXPIRED:
        return "shows a certificate that has expired: its administrator has to renew it (or is this clock wrong?)"
    if error.verify_code == NOT_YET:
        return "shows a certificate that is not valid yet (is this machine's clock wrong?)"
    if error.verify_code in (HOST_NAME, IP_ADDRESS):
        return f"shows a certificate for another name than {host}: use the name that it is made for"
    trusts = "the ones in your file" if connection.ca else "this system's: the authority's certificate is missing"
    where = "ssl.truststore.type=PEM and ssl.truststore.location=ca.pem"
    return f"shows a certificate of an authority that is none of {trusts} ({error.verify_message}): {where}"


def of_mechanism(code: int, offered: Sequence[str], connection: Connection) -> str:
    """The node does not take the mechanism."""
    if code == ILLEGAL_SASL_STATE or not offered:
        return f"asks for no user at this port: security.protocol={'SSL' if connection.tls else 'PLAINTEXT'}"
    return f"does not take sasl.mechanism={connection.mechanism}; it takes {', '.join(offered)}"


def of_login(said: str, connection: Connection) -> str:
    """The node does not accept user and password, or the token."""
    what = "the token of the client" if connection.token_url else "the user"
    return f"refuses {what} {connection.user!r}{f': {said}' if said else ''} (is the password right?)"
