"""Reads `client.properties`, the file of Kafka's own tools, which every provider hands out; librdkafka's names too.

A file that does not say how to connect, or says it in a way that Python cannot follow, gets a sentence. Names that the
lab does not use are no mistake: in such a file stand serializers and the schema registry, too.
"""

import os
import re
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labsupport.connection import PASSWORDS, TOKENS, Connection, Secret, parse_addresses
from labsupport.errors import LabError

PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
# The first name that is there counts.
NAMES = {
    "bootstrap": ("bootstrap.servers", "metadata.broker.list"),
    "protocol": ("security.protocol",),
    "mechanism": ("sasl.mechanism", "sasl.mechanisms"),
    "jaas": ("sasl.jaas.config",),
    "user": ("sasl.username", "sasl.oauthbearer.client.credentials.client.id", "sasl.oauthbearer.client.id"),
    "password": (
        "sasl.password", "sasl.oauthbearer.client.credentials.client.secret", "sasl.oauthbearer.client.secret",
    ),
    "token_url": ("sasl.oauthbearer.token.endpoint.url",),
    "scope": ("sasl.oauthbearer.scope",),
    "extensions": ("sasl.oauthbearer.extensions",),
    "ca": ("ssl.truststore.certificates", "ssl.ca.pem"),
    "ca_file": ("ssl.truststore.location", "ssl.ca.location"),
    "certificate": ("ssl.keystore.certificate.chain", "ssl.certificate.pem"),
    "certificate_file": ("ssl.keystore.location", "ssl.certificate.location"),
    "key": ("ssl.keystore.key", "ssl.key.pem"),
    "key_file": ("ssl.key.location",),
    "key_password": ("ssl.key.password",),
    "learner": ("lab.learner",),
}  # fmt: skip
UNDERSTOOD = {name for names in NAMES.values() for name in names}
UNDERSTOOD |= {
    "ssl.endpoint.identification.algorithm",
    "ssl.truststore.type",
    "ssl.keystore.type",
    "sasl.oauthbearer.method",
}
BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----(.+?)-----END \1-----", re.DOTALL)
PLACEHOLDER = re.compile(r"\{\{.*?\}\}|\$\{.+?\}|^<[A-Za-z][\w .-]*>|^(?i:your[-_ ][\w -]+|x{4,})$")
QUOTED = re.compile(r"(['\"]).*\1", re.DOTALL)
OPTION = re.compile(r"""(\w+)\s*=\s*("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\s;"']+)""")
OAUTH_OPTIONS = {"clientId": "username", "clientSecret": "password"}
SPOKEN = (*PASSWORDS, TOKENS)
# What the lab does not speak: (mechanism, a word of its login module, what it is, what to do).
UNSPOKEN = (
    ("GSSAPI", "Krb5", "it wants Kerberos (GSSAPI), which the lab does not speak",
        f"ask for a user with one of {', '.join(SPOKEN)}"),
    ("AWS_MSK_IAM", "IAMLoginModule", "it wants AWS_MSK_IAM, which the lab does not speak",
        "give a file for the cluster's SASL/SCRAM port (9096), with sasl.mechanism=SCRAM-SHA-512"),
)  # fmt: skip
TRUST_STORE = (
    "keytool -list -rfc -keystore {} > ca.pem\nthen ssl.truststore.type=PEM and ssl.truststore.location=ca.pem"
)
JKS = "keytool -importkeystore -srckeystore {} -destkeystore own.p12 -deststoretype PKCS12"
KEY_STORE = "openssl pkcs12 -in {} -out own.pem\nthen ssl.keystore.type=PEM and ssl.keystore.location=own.pem"
KEY = "openssl pkey -in {} -out key.pem, then ssl.key.location=key.pem"


def read(file: Path, addresses: str = "") -> Connection:
    """Return what `file` says; `addresses` replace its `bootstrap.servers`. Raises LabError with a next step."""
    import javaproperties

    try:
        text = file.read_text(encoding="utf-8")
        return parse(javaproperties.loads(text), file, addresses)
    except (OSError, UnicodeDecodeError, javaproperties.InvalidUEscapeError) as error:
        why = getattr(error, "strerror", None) or "it is no text in UTF-8 in the form of Java's properties"
        raise LabError(
            f"Could not read {file} (LAB_KAFKA_CONFIG).", why, "give the client.properties of your Kafka"
        ) from None


def written(connection: Connection) -> str:
    """Return the text of a file for a user with a password or without one yet: certificates inside, Kafka's names.

    Kafka's own tools take it, and so do the clients of other languages.
    """
    named = {"bootstrap.servers": connection.bootstrap} | security(connection)
    return properties(named | ({"lab.learner": connection.learner} if connection.learner else {}))


def security(connection: Connection) -> dict[str, str]:
    """Return what a Java client needs besides the address, for a user with a password."""
    settings = {"security.protocol": connection.protocol}
    if connection.ca:
        settings |= {"ssl.truststore.type": "PEM", "ssl.truststore.certificates": connection.ca.strip()}
    if connection.mechanism:
        settings["sasl.mechanism"] = connection.mechanism
    if connection.user:
        module = "plain.Plain" if connection.mechanism == "PLAIN" else "scram.Scram"
        login = f'username="{connection.user}" password="{connection.password}"'
        settings["sasl.jaas.config"] = f"org.apache.kafka.common.security.{module}LoginModule required {login};"
    return settings


def properties(settings: Mapping[str, str]) -> str:
    """Return these settings as the text of a Java properties file."""
    return "".join(f"{name}={_escaped(text)}\n" for name, text in settings.items())


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def readable_by_others(file: Path) -> bool:
    """Whether another user of this machine may read the file."""
    return os.name == "posix" and bool(file.stat().st_mode & 0o044)


def parse(given: Mapping[str, str], file: Path, addresses: str = "") -> Connection:
    """Return the connection that these settings describe; relative paths count from the folder of `file`."""
    settings = {name: value.strip() for name, value in given.items() if value.strip()}
    found = {key: next((settings[name] for name in names if name in settings), "") for key, names in NAMES.items()}
    _require_values(settings, file)
    bootstrap = addresses or re.sub(r"\w+://", "", found["bootstrap"])
    if not bootstrap:
        raise _unfit(file, "it has no bootstrap.servers", "add bootstrap.servers=host:port, or set LAB_KAFKA")
    parse_addresses(bootstrap, "LAB_KAFKA" if addresses else "bootstrap.servers")
    protocol = found["protocol"].upper() or "PLAINTEXT"
    if protocol not in PROTOCOLS:
        raise _unfit(file, f"security.protocol={protocol} does not exist", f"it is one of {', '.join(PROTOCOLS)}")
    if not found["protocol"] and (said := sorted(name for name in settings if name.startswith(("sasl.", "ssl.")))):
        why = f"it has {said[0]}, but no security.protocol, and Kafka's default is PLAINTEXT, which uses neither"
        raise _unfit(file, why, "add security.protocol=SASL_SSL (or SSL, if certificates are all that it has)")
    who = _login(found, file) if protocol.startswith("SASL_") else {}
    tls = _certificates(found, file) if protocol.endswith("SSL") else {}
    if given.get("ssl.endpoint.identification.algorithm", "https").strip().lower() in ("", "none"):
        tls |= {"checks_host_name": False}
    unused = tuple(sorted(name for name in settings if name not in UNDERSTOOD))
    return Connection(bootstrap, protocol, source=file, learner=found["learner"], unused=unused, **who, **tls)


def _unfit(file: Path, why: str, next_step: str) -> LabError:
    return LabError(f"{file} (LAB_KAFKA_CONFIG) does not say how to connect.", why, next_step)


def _require_values(settings: Mapping[str, str], file: Path) -> None:
    """Raise LabError for a placeholder that nobody has filled in, and for a value in quotes."""
    for name in sorted(settings.keys() & UNDERSTOOD):
        value = settings[name]
        for each in _jaas(value)[1].values() if name == "sasl.jaas.config" else [value]:
            if unfilled := PLACEHOLDER.search(each):
                why = f"in {name} stands the placeholder {unfilled[0]}"
                raise _unfit(file, why, "put your own value there; your Kafka's provider or administrator shows it")
        if QUOTED.fullmatch(value):
            why = f"the value of {name} stands in {'single' if value[0] == chr(39) else 'double'} quotes"
            raise _unfit(file, why, "delete the quotes: in such a file they would be a part of the value")


def _login(found: Mapping[str, str], file: Path) -> dict[str, Any]:
    """Return mechanism, user and password, and what OAUTHBEARER needs."""
    module, options = _jaas(found["jaas"])
    mechanism = found["mechanism"].upper()
    for unspoken, word, why, next_step in UNSPOKEN:
        if mechanism == unspoken or word in module:
            raise _unfit(file, why, next_step)
    if not mechanism:
        why = "it has no sasl.mechanism, and Kafka's default is GSSAPI (Kerberos), which the lab does not speak"
        raise _unfit(file, why, f"add sasl.mechanism=, with one of {', '.join(SPOKEN)}")
    if mechanism not in SPOKEN:
        raise _unfit(file, f"sasl.mechanism={mechanism}", f"the lab speaks {', '.join(SPOKEN)}")
    named = {OAUTH_OPTIONS.get(name, name): value for name, value in options.items()}
    user = found["user"] or named.get("username", "")
    password = found["password"] or named.get("password", "")
    if not user or not password:
        why = f"it has no {'user' if not user else 'password'}"
        raise _unfit(file, why, "add sasl.jaas.config with both, or sasl.username and sasl.password")
    who: dict[str, Any] = {"mechanism": mechanism, "user": user, "password": Secret(password)}
    return who | (_token(found, named, file) if mechanism == TOKENS else {})


def _token(found: Mapping[str, str], options: Mapping[str, str], file: Path) -> dict[str, Any]:
    """Return where the client gets its token, and with which scope and extensions."""
    if not found["token_url"]:
        raise _unfit(file, "it has no sasl.oauthbearer.token.endpoint.url", "add it: there the client gets its token")
    pairs = [each.split("=", 1) for each in found["extensions"].split(",") if "=" in each]
    pairs += [[name.removeprefix("extension_"), text] for name, text in options.items() if "extension_" in name]
    extensions = tuple((name, text) for name, text in pairs)
    return {"token_url": found["token_url"], "scope": found["scope"] or options.get("scope", "")} | {
        "extensions": extensions
    }


def _jaas(text: str) -> tuple[str, dict[str, str]]:
    """Return the login module of `sasl.jaas.config` and its options. As in Java, either quote will do."""
    module = text.split(maxsplit=1)[0] if text else ""

    def bare(value: str) -> str:
        return re.sub(r"\\(.)", r"\1", value[1:-1]) if QUOTED.fullmatch(value) else value

    return module, {name: bare(value) for name, value in OPTION.findall(text)}


def _certificates(found: Mapping[str, str], file: Path) -> dict[str, Any]:
    """Return the certificates as PEM texts: of the authority, and the client's own with its key."""
    ca = _pem(found["ca"]) or _pem_of(found["ca_file"], file, TRUST_STORE)
    files = (_pem_of(found["certificate_file"], file, KEY_STORE), _pem_of(found["key_file"], file, KEY))
    own = "\n".join((found["certificate"], found["key"], *files))
    certificate, key = _pem(own, "CERTIFICATE"), _pem(own, "KEY")
    if bool(certificate) != bool(key):
        here, missing = ("certificate", "key") if certificate else ("key", "certificate")
        why = f"it has the client's {here}, but not its {missing}"
        both = "ssl.keystore.location names a file with both, or ssl.certificate.location and ssl.key.location one each"
        raise _unfit(file, why, both)
    return {"ca": ca, "certificate": certificate, "key": Secret(key), "key_password": Secret(found["key_password"])}


def _pem(text: str, kind: str = "") -> str:
    """Return the PEM blocks of that kind, in lines: in a properties file a certificate may stand on one line."""
    blocks = []
    for label, body in BLOCK.findall(text):
        if label.endswith(kind):
            lines = body.strip() if ":" in body else "\n".join(textwrap.wrap(re.sub(r"\s", "", body), 64))
            blocks.append(f"-----BEGIN {label}-----\n{lines}\n-----END {label}-----")
    return "\n".join(blocks)


def _pem_of(name: str, file: Path, convert: str) -> str:
    """Return the PEM blocks of a file. Raises LabError if there is none, as in Java's own formats."""
    if not name:
        return ""
    path = file.parent / Path(name).expanduser()
    try:
        raw = path.read_bytes()
    except OSError as error:
        why = f"it names {path}: {error.strerror}"
        raise _unfit(file, why, "correct the path; a relative one counts from this file's folder") from None
    if b"-----BEGIN" not in raw:
        java = {b"\xfe\xed": "a Java key store (JKS)", b"\x30\x82": "a key store of Java (PKCS12)"}.get(raw[:2])
        why = f"it names {path}, {java or 'which is no PEM'}; the lab reads certificates in PEM"
        if convert is KEY_STORE and raw[:2] == b"\xfe\xed":
            convert = f"{JKS}\n{KEY_STORE.replace('{}', 'own.p12')}"
        raise _unfit(file, why, convert.format(path))
    return _pem(raw.decode("ascii", "replace"))
