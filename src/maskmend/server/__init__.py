"""The HTTP server: an API for fills, and the page of the editor, in one process (extra `server`).

    security ─► routes ─► requests (limits, decoding) ─► queue ─► workers ─► responses (PNG, JSON, events)

The server keeps no state between requests: no sessions, no stored pictures, no files. Request data is decoded
in memory, within limits, and filled. When a client disconnects, its request is cancelled.
"""
