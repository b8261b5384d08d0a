"""A schema registry: Confluent's HTTP interface on a compacted topic. Lesson 13.

Read the rule first (compatibility.py, with avro_schemas.py and protobuf_schemas.py), then what the topic says
(subjects.py), who reads and writes it (schema_topic.py), and the interface (server.py); __main__.py is the program, and
registry.py what the lab does with it. Encoding and decoding of events is the client's part: wire_format.py,
avro_data.py, avro_serde.py, event_formats.py.
"""
