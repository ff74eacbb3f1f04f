"""Prints the specification of the whole web process: `make openapi` writes it down."""

import base64
import sys

from app.factory import create_app
from app.openapi.specification import specification, text_of
from app.settings import Role, load
from market.web import market_part


def main() -> None:
    """Nothing of it depends on the environment; these keys are never used."""
    anything = base64.b64encode(bytes(32)).decode()
    environ = {"CREDENTIAL_PUBLIC_KEY": anything, "API_KEY_HASH_KEY": anything}
    app = create_app(load(Role.WEB, environ), [market_part()])
    sys.stdout.write(text_of(specification(app)))


if __name__ == "__main__":
    main()
