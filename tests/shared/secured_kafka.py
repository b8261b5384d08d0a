"""A real Kafka with a door for each way to secure one, and the files that it hands out. What several tests share."""

import http.server
import json
import threading
import time
from pathlib import Path

from joserfc import jwt
from joserfc.jwk import ECKey
from kafka.admin import KafkaAdminClient, ScramMechanism, UserScramCredentialUpsertion

from labsupport.broker import certificates
from labsupport.broker.embedded import EmbeddedCluster
from labsupport.broker.java_runtime import Runtime
from labsupport.broker.server_properties import Access, Listener, key_store
from labsupport.connection import Secret
from labsupport.ports import free_port

PASSWORD = 'tell "nobody"\\ =:'  # with all that needs escaping somewhere
SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule"
PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule"
OAUTH = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule"
DOORS = {
    "SCRAM": "SASL_SSL", "PLAINS": "SASL_SSL", "OAUTH": "SASL_SSL", "MTLS": "SSL", "TLS": "SSL", "OLD": "SSL",
    "ELSEWHERE": "SSL",
}  # fmt: skip


def escaped(text: str) -> str:
    """A value in a properties file."""
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def quoted(text: str) -> str:
    """A value in a JAAS configuration, in double quotes."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


class TokenServer:
    """Somebody's identity provider: tokens for client credentials, and the public key that they are signed with."""

    def __init__(self):
        self.key = ECKey.generate_key("P-256", parameters={"kid": "1", "use": "sig", "alg": "ES256"})
        self.asked: list[str] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self, code: int, value: object) -> None:
                body = json.dumps(value).encode()
                self.send_response(code)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self) -> None:
                self.answer(200, {"keys": [outer.key.as_dict(private=False)]})

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                outer.asked.append(body)
                if "Basic YW5uYTp" not in (self.headers["Authorization"] or ""):  # anna:…
                    self.answer(401, {"error": "invalid_client"})
                    return
                now = int(time.time())
                claims = {"sub": "anna", "iss": "tests", "aud": "kafka", "iat": now, "exp": now + 600, "scope": "kafka"}
                token = jwt.encode({"alg": "ES256", "kid": "1"}, claims, outer.key)
                self.answer(200, {"access_token": token, "token_type": "Bearer", "expires_in": 600})

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


class AskingRuntime(Runtime):
    """Java asks only for keys at addresses that its administrator has allowed."""

    url = ""

    def command(self, **more):
        java, *words = super().command(**more)
        return [java, f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={self.url}", *words]


class SecuredKafka:
    """One broker, its doors' ports, the authority that signs for all of them, and a user anna."""

    def __init__(self, folder: Path, runtime: Runtime):
        self.tokens = TokenServer()
        self.ca, self.stranger = certificates.authority("the tests' CA"), certificates.authority("another CA")
        own = certificates.issue(self.ca, "broker", ["localhost", "127.0.0.1"])
        old = certificates.issue(self.ca, "old", ["localhost"], days=-10)
        elsewhere = certificates.issue(self.ca, "elsewhere", ["kafka.elsewhere"])
        self.client = certificates.issue(self.ca, "anna")
        self.ports = {name: free_port() for name in DOORS}
        listeners = {
            name: Listener(DOORS[name], f"127.0.0.1:{port}", f"localhost:{port}") for name, port in self.ports.items()
        }
        settings = {"sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER"}
        for name in DOORS:
            shown = {"OLD": old, "ELSEWHERE": elsewhere}.get(name, own)
            settings |= key_store(name, shown.text, shown.key, self.ca.text if name == "MTLS" else "")
        settings |= {
            "listener.name.scram.sasl.enabled.mechanisms": "SCRAM-SHA-256,SCRAM-SHA-512",
            "listener.name.scram.scram-sha-256.sasl.jaas.config": f"{SCRAM} required;",
            "listener.name.scram.scram-sha-512.sasl.jaas.config": f"{SCRAM} required;",
            "listener.name.plains.sasl.enabled.mechanisms": "PLAIN",
            "listener.name.plains.plain.sasl.jaas.config": escaped(f"{PLAIN} required user_anna={quoted(PASSWORD)};"),
            "listener.name.oauth.sasl.enabled.mechanisms": "OAUTHBEARER",
            "listener.name.oauth.oauthbearer.sasl.jaas.config": f"{OAUTH} required;",
            "listener.name.oauth.oauthbearer.sasl.server.callback.handler.class":
                "org.apache.kafka.common.security.oauthbearer.OAuthBearerValidatorCallbackHandler",
            "listener.name.oauth.oauthbearer.sasl.oauthbearer.jwks.endpoint.url": f"{self.tokens.url}/keys",
            "listener.name.oauth.oauthbearer.sasl.oauthbearer.expected.audience": "kafka",
            "listener.name.oauth.oauthbearer.sasl.oauthbearer.expected.issuer": "tests",
        }  # fmt: skip
        access = Access("lab-teacher", Secret("the teacher's"), listeners, settings)
        asking = AskingRuntime(**vars(runtime))
        vars(asking)["url"] = f"{self.tokens.url}/keys"
        self.cluster = EmbeddedCluster(folder, asking, access=access)
        self.cluster.start()
        admin = KafkaAdminClient(**self.cluster.connection.kafka_python())
        for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512):
            told = admin.alter_user_scram_credentials([UserScramCredentialUpsertion("anna", mechanism, PASSWORD)])
            assert told == {"anna": None}
        admin.close()

    def address(self, door: str) -> str:
        return f"localhost:{self.ports[door]}"

    def close(self) -> None:
        self.cluster.destroy()
        self.tokens.server.shutdown()
