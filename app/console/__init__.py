"""The full-screen console: backend → store → widgets, and keys → actions → backend.

Nothing here holds truth and nothing here blocks: what is shown is the store's, what is asked
for runs in worker threads.
"""
