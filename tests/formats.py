"""Writes documents as others do: Avro by fastavro, Protobuf by Google's library, Arrow by pyarrow.

Arguments: format, stage, the registry's URL, a suffix for subjects, a JSON Lines file of documents. Registers
the schema of the stage, and prints the messages, base64, and the schema's number.
"""

import base64
import io
import json
import struct
import sys
import urllib.request

FORMAT, STAGE, REGISTRY, SUFFIX, FILE = sys.argv[1:6]
DOCUMENTS = [json.loads(line) for line in open(FILE, encoding="utf-8")]
PUBLISHED = 1_700_000_000_000


def register(subject, schema, kind):
    body = json.dumps({"schema": schema, "schemaType": kind}).encode()
    request = urllib.request.Request(
        f"{REGISTRY}/subjects/{subject}/versions",
        data=body,
        headers={"Content-Type": "application/vnd.schemaregistry.v1+json"},
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["id"]


def framed(number, rest):
    return struct.pack(">bI", 0, number) + rest


def avro():
    import fastavro

    text = {"name": "body", "type": "string"}
    fields = {
        "first": [{"name": "id", "type": "string"}, text],
        "added": [
            {"name": "id", "type": "string"},
            {"name": "published_at", "type": ["null", {"type": "long", "logicalType": "timestamp-millis"}], "default": None},
            text,
            {"name": "tags", "type": {"type": "map", "values": "string"}, "default": {}},
        ],
        "incompatible": [{"name": "id", "type": "string"}, {"name": "body", "type": "boolean"}],
    }[STAGE]
    schema = {"type": "record", "name": "Story", "namespace": "news", "fields": fields}
    # A subject of its own for the incompatible one: the registry itself would refuse it as a version.
    number = register(f"avro-{STAGE == 'incompatible'}-{SUFFIX}", json.dumps(schema), "AVRO")
    parsed = fastavro.parse_schema(schema)
    messages = []
    for document in DOCUMENTS:
        row = {"id": document["id"], "body": document["body"], "published_at": PUBLISHED, "tags": {"a": "b"}}
        if STAGE == "incompatible":
            row["body"] = True
        out = io.BytesIO()
        fastavro.schemaless_writer(out, parsed, {field["name"]: row[field["name"]] for field in fields})
        messages.append(framed(number, out.getvalue()))
    return number, messages


PROTO = {
    "first": "string id = 1; string body = 2;",
    "added": "string id = 1; string body = 2; int64 published_at = 3;",
    "incompatible": "string id = 1; bool body = 2;",
}


def protobuf():
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    text = f'syntax = "proto3"; package news; message Unused {{ int32 x = 1; }} message Story {{ {PROTO[STAGE]} }}'
    number = register(f"protobuf-{STAGE == 'incompatible'}-{SUFFIX}", text, "PROTOBUF")
    file = descriptor_pb2.FileDescriptorProto(name="story.proto", package="news", syntax="proto3")
    file.message_type.add(name="Unused")
    story = file.message_type.add(name="Story")
    kinds = {"string": descriptor_pb2.FieldDescriptorProto.TYPE_STRING, "int64": descriptor_pb2.FieldDescriptorProto.TYPE_INT64, "bool": descriptor_pb2.FieldDescriptorProto.TYPE_BOOL}
    for field in PROTO[STAGE].split(";")[:-1]:
        kind, name, _, place = field.split()
        story.field.add(name=name, number=int(place), type=kinds[kind], label=1)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    Story = message_factory.GetMessageClass(pool.FindMessageTypeByName("news.Story"))
    messages = []
    for document in DOCUMENTS:
        row = {"id": document["id"], "body": document["body"]}
        if STAGE == "added":
            row["published_at"] = PUBLISHED
        if STAGE == "incompatible":
            row["body"] = True
        # The path to the second message of the file: one index, 1, both zigzag-encoded.
        messages.append(framed(number, bytes([2, 2]) + Story(**row).SerializeToString()))
    return number, messages


def arrow():
    import pyarrow as pa

    messages = []
    for document in DOCUMENTS:
        columns = {"id": pa.array([document["id"]]), "body": pa.array([document["body"]])}
        if STAGE == "added":
            columns["published_at"] = pa.array([PUBLISHED * 1000], pa.timestamp("us", "UTC"))
        if STAGE == "incompatible":
            columns["body"] = pa.array([True])
        batch = pa.record_batch(columns)
        out = io.BytesIO()
        writer = pa.ipc.new_file if STAGE == "added" else pa.ipc.new_stream
        with writer(out, batch.schema) as stream:
            stream.write_batch(batch)
        messages.append(out.getvalue())
    return 0, messages


number, messages = {"avro": avro, "protobuf": protobuf, "arrow": arrow}[FORMAT]()
print(json.dumps({"number": number, "messages": [base64.b64encode(message).decode() for message in messages]}))
