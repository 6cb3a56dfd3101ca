"""Lambda's own client for its Runtime API, as its Python runtime starts it."""

from awslambdaric.__main__ import main

main(["bootstrap", "handler.handler"])
