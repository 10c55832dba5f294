"""What each model server runs; each is started by its path, in an environment of its own."""
