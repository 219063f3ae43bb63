"""The distribution API over the built-in store, as an ASGI application (DESIGN.md, sections 5 and 7)."""
