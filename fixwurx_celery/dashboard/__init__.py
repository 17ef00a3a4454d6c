"""Flower with one more tab: the cluster as the store knows it, live.

    browsers ──poll──▶ page ──────▶ LivePicture ──once a second at most──▶ Reader ──▶ store
                          │                          (in a thread)
                          └── actions: drain, resume, strategy ──▶ store

Flower's own pages are made of Celery's events, and know only what happened since it started. This
one shows what is true now, and forgets nothing when Flower restarts. Importing this loads neither
Flower nor tornado.
"""
