"""Speaking with registries over HTTP: who to ask, who asks, what comes back. Bytes only; engines know what they mean.

endpoint.py     which servers a host stands for, and how they may be spoken to
proxies.py      which proxy leads to a server
tls.py          certificates of authorities and of ours
challenge.py    WWW-Authenticate, read
auth.py         challenge → token → header
transport.py    one request: connections, redirects, timeouts, being broken off
answers.py      refusals in docker's words
client.py       manifests, blobs, tags, catalogs
uploads.py      a blob on its way there
transfer.py     blobs that outlive broken connections
crew.py         threads of one operation
hub.py          Docker Hub's search
"""
