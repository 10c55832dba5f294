"""What is seen of a cluster during a load test."""

from loadtests.observers.observers import Observers

__all__ = ["Observers"]
