"""
Restarts servers behind proxies again and again, and counts the clients that notice.

    make restart-test
    make restart-test ARGS="nginx haproxy-workers --restarts 10"

The proxies have the configurations of ``docs/deployment.md``. The servers have default settings.

=======================  ==================================================================
``nginx``                two servers, one restarted after the other; a connection a request
``nginx-kept``           the same, with connections to the servers that nginx keeps
``haproxy``              the same; HAProxy keeps connections, and asks ``/ready``
``haproxy-new``          the same, with a connection for each request
``caddy``                the same behind Caddy
``...-workers``          one server with four workers, which are replaced on SIGHUP
=======================  ==================================================================

Some clients stay: they chat on a WebSocket, and connect again when they are told to leave. Others
come, say something, and go. Others make GET and POST requests, on connections that they keep, and
on new ones. Each POST has a number, and the servers write down which ones they have carried out.

These numbers have to be 0:

* ``refused``: WebSockets that were not accepted;
* ``cut``: WebSockets that ended without a close frame, or with another code than 1001;
* ``lost``: requests without a response, or with 502, 503 or 504. POSTs may be lost only if the
  proxy keeps connections and doesn't know whether the server at the other end is ready;
* ``twice``: requests that were answered by the response to another one, POSTs that were carried out
  twice, and those that were answered and not carried out.
"""

from __future__ import annotations
