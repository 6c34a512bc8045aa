"""Iceberg's REST protocol before pyiceberg's SQL catalog, as far as a writer of tables needs it.

Argument: a directory, in which the catalog and the tables lie, the file `token` has what clients must show, and the file
`port` says where to connect.
"""

import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

from pyiceberg.catalog import load_catalog
from pyiceberg.exceptions import CommitFailedException, NoSuchNamespaceError, NoSuchTableError
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import CommitTableRequest

DIRECTORY = sys.argv[1]
CATALOG = load_catalog("fenliu", type="sql", uri=f"sqlite:///{DIRECTORY}/catalog.db", warehouse=f"file://{DIRECTORY}")
LOCK = threading.Lock()


def loaded(table):
    metadata = json.loads(table.metadata.model_dump_json())
    return {"metadata-location": table.metadata_location, "metadata": metadata, "config": {}}


class Handler(BaseHTTPRequestHandler):
    def reply(self, status, body=None):
        data = json.dumps(body).encode() if body is not None else b""
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def answer(self):
        path = [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")][1:]
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = json.loads(body) if body else None
        with open(f"{DIRECTORY}/token") as file:
            token = file.read()
        if self.headers.get("Authorization") != f"Bearer {token}":
            return self.reply(401, {"error": {"message": "no token", "type": "NotAuthorizedException", "code": 401}})
        with LOCK:
            try:
                self.reply(*self.route(path, body, request))
            except (NoSuchTableError, NoSuchNamespaceError) as error:
                self.reply(404, {"error": {"message": str(error), "type": type(error).__name__, "code": 404}})
            except CommitFailedException as error:
                self.reply(409, {"error": {"message": str(error), "type": "CommitFailedException", "code": 409}})

    def route(self, path, body, request):
        if path == ["config"]:
            return 200, {"defaults": {}, "overrides": {}}
        if path == ["namespaces"]:
            CATALOG.create_namespace(tuple(request["namespace"]))
            return 200, {"namespace": request["namespace"], "properties": {}}
        namespace = tuple(path[1].split("\x1f"))
        if len(path) == 2:
            properties = CATALOG.load_namespace_properties(namespace)
            return (204,) if self.command == "HEAD" else (200, {"namespace": namespace, "properties": properties})
        if len(path) == 3:
            table = CATALOG.create_table(
                (*namespace, request["name"]),
                Schema.model_validate(request["schema"]),
                partition_spec=PartitionSpec.model_validate(request["partition-spec"]),
                properties=request.get("properties") or {},
            )
            return 200, loaded(table)
        table = CATALOG.load_table((*namespace, path[3]))
        if self.command == "POST":
            parsed = CommitTableRequest.model_validate_json(body)
            CATALOG.commit_table(table, parsed.requirements, parsed.updates)
            return 200, loaded(CATALOG.load_table((*namespace, path[3])))
        return (204,) if self.command == "HEAD" else (200, loaded(table))

    do_GET = do_POST = do_HEAD = answer


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
with open(f"{DIRECTORY}/port.new", "w") as file:
    file.write(str(server.server_port))
os.rename(f"{DIRECTORY}/port.new", f"{DIRECTORY}/port")
server.serve_forever()
