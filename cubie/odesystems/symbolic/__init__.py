"""Expressions: parsed or traced into a checked form, simplified by passes, emitted as device code."""
