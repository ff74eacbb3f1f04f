"""What gunicorn serves for a measurement: the API, and an empty Flask route beside it."""

from flask import Flask, jsonify
from flask.typing import ResponseReturnValue
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from app.wsgi import app as api

empty = Flask("empty")


@empty.route("/")
def nothing() -> ResponseReturnValue:
    """What Flask and gunicorn cost by themselves."""
    return jsonify({})


app = DispatcherMiddleware(api, {"/empty": empty})
