"""What lies on disk and how several processes share it: paths, documents, locks, leases, the journal."""
