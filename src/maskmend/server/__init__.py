"""The HTTP server: an API for fills, and the page of the editor, in one process (extra `server`).

    security ─► routes ─► requests (limits, decoding) ─► queue ─► workers ─► responses (PNG, JSON, events)

Nothing is kept between requests: no session, no stored picture, no file. What a client sends is decoded from
memory under limits, filled, and answered; a client that goes away takes its request with it.
"""
