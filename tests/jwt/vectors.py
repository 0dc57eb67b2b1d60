"""Makes vectors.json with the code of Airflow 3.3.2 and PyJWT. Run it in a venv that holds apache-airflow.

The keys beside it sign nothing but these vectors.
"""

import json
import pathlib
from unittest import mock

import jwt
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from airflow.api_fastapi.auth import tokens

HERE = pathlib.Path(__file__).parent
SECRET = "airgate-fixture-jwt-secret-0123456789abcdef0123456789abcdef0123456789"
NOW = 1795305600  # 2026-11-22T00:00:00Z
CLAIMS = {
    "sub": "admin", "role": "admin", "teams": [], "jti": "vector", "aud": "apache-airflow",
    "nbf": NOW, "exp": NOW + 3600, "iat": NOW,
}


def load(name):
    return load_pem_private_key((HERE / name).read_bytes(), password=None)


KEYS = {"RS": "rsa.pem", "PS": "rsa.pem", "Ed": "ed25519.pem", "ES256": "p256.pem", "ES384": "p384.pem"}
signed = {}
for algorithm in (
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA",
):
    key = SECRET if algorithm.startswith("HS") else load(KEYS.get(algorithm) or KEYS[algorithm[:2]])
    signed[algorithm] = jwt.encode(CLAIMS, key, algorithm=algorithm, headers={"kid": algorithm})

jwks = []
for algorithm in ("RS256", "PS256", "ES256", "ES384", "EdDSA"):
    impl = jwt.get_algorithm_by_name(algorithm)
    key = load(KEYS.get(algorithm) or KEYS[algorithm[:2]]).public_key()
    entry = impl.to_jwk(key, as_dict=True)
    if algorithm == "PS256":
        entry["alg"] = algorithm
    entry["kid"] = algorithm
    jwks.append(entry)

minted = {}
for name, extras in {
    "rsa.pem": {"sub": "admin", "role": "admin", "teams": []},
    "ed25519.pem": {"sub": "7"},
}.items():
    generator = tokens.JWTGenerator(
        private_key=load(name), valid_for=3600, audience="apache-airflow", issuer="https://one.example"
    )
    with mock.patch.object(tokens, "uuid") as uuid, mock.patch.object(tokens, "datetime") as clock:
        uuid.uuid4.return_value.hex = "0123456789abcdef0123456789abcdef"
        clock.now.return_value.timestamp.return_value = NOW
        minted[name] = generator.generate(extras)

(HERE / "vectors.json").write_text(json.dumps({
    "now": NOW,
    "secret": SECRET,
    "thumbprints": {n: tokens.key_to_jwk_dict(load(n))["kid"] for n in ("rsa.pem", "ed25519.pem")},
    "signed": signed,
    "jwks": {"keys": jwks},
    "minted": minted,
}, indent=1) + "\n")
