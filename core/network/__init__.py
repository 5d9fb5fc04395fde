"""Networks of the host's side: their documents, their addresses, their bridges."""
