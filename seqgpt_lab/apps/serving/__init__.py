"""The lab over HTTP: one engine thread for all requests, the server's endpoints, the studio's page."""
