"""The first minute: ``ringpost demo`` and ``ringpost try`` with their pages."""
