"""The ``sequence`` command: packs, deploys and watches hosted strategies over HTTP."""
