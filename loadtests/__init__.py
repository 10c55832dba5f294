"""The load test: it drives the model service, watches what follows, and gives a verdict."""
