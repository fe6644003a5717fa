"""Measuring this package where it is installed."""
