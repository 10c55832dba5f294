"""The report of a load test: a folder for people and programs, a table for the terminal."""

from __future__ import annotations

from loadtests.report.compare import compare
from loadtests.report.folder import write
from loadtests.report.record import Record, Scenario, exit_code
from loadtests.report.terminal import summary

__all__ = ["Record", "Scenario", "compare", "exit_code", "summary", "write"]
