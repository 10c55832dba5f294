"""Locust's users of the model service. Importing one of these patches the whole process."""
