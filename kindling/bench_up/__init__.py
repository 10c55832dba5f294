"""``nox -s bench-up``: how long ``cluster-up`` takes, and how often it fails.

- ``warm``: a warm run beside its floor and beside serial installation;
- ``cold``: a commit and the present checkout, each from an empty cache and state folder;
- ``luck``: repeated runs while every core is kept busy.

``checkout``, ``build``, ``execute``, ``traces`` and ``machine`` are what these are made of;
``record`` and ``report`` keep and show the figures, ``ratios`` judges them.
"""
