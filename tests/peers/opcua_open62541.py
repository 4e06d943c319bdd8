"""An OPC UA peer for tests: the server of open62541 (C, 1.5.8) with known contents, through the Python package o6
2.2.0. Without a licence that runs for ten minutes, then the process ends.

usage: opcua_open62541.py FOLDER [--port PORT] [--nodes COUNT] [--namespaces URI,URI] [--plain] [--strict]

FOLDER keeps the server's certificate (server.der, server.key), made at the first start for 127.0.0.1; with --plain it
has none and no security at all. With --strict only clients may come in over a secure channel whose certificate lay
in FOLDER/clients when it was started. The user is anna with the password secret. Port 0 takes a free one. Once it listens it prints `READY port`. Only what is said to it over loopback is meant for
it: the package cannot listen on one address alone.

Lines on standard input are carried out and answered with `ok` (or what was asked for):
    remove NAME | add NAME     a node Line.NAME (add: an int32 of 7); a NAME with a dot is the whole name
    set NAME VALUE             value of a number
    get NAME                   its value
    sessions | subscriptions   how many there are
    close drop                 ends all sessions and their subscriptions
At the end of the input it ends.

Contents in the namespace urn:gwp:plant (which --namespaces puts at another index), below Objects:
    s=Types.Boolean ..         one of each built-in type but StatusCode; s=Extremes.SByteMin ..; s=Arrays.Int32 ..
    s=Line.Speed, s=Line.Count writable double and int32
    s=Line.Loose               double in a node that may hold any type, which takes no deadband
    s=Counter                  uint32 that counts each 100 ms
    s=Many.0 ..                COUNT int32 nodes with their numbers
"""

import argparse
import itertools
import logging
import math
import os
import socket
import sys
import threading
import time
import uuid

import numpy as np
import o6
import o6.util

PLANT = "urn:gwp:plant"
APPLICATION = "urn:gwp:test:open62541"
GUID = uuid.UUID("12345678-1234-5678-1234-567812345678")
LEAP_DAY = o6.DateTime("2024-02-29T12:00:00.5Z")
TEXT = o6.LocalizedText("text", "en")

# The plant's namespace with a type of its own; this module is what is published. Structures are left out: the package
# describes them to clients with namespace indexes that only it knows.
o6.ns.namespace("gwpplant", uri=PLANT, version="1")


@o6.enumtype(ns="gwpplant")
class Phase:
    idle = 0
    heating = 1
    done = 2


VALUES = {
    "Types.Boolean": True,
    "Types.SByte": o6.SByte(-8),
    "Types.Byte": o6.Byte(8),
    "Types.Int16": o6.Int16(-1616),
    "Types.UInt16": o6.UInt16(1616),
    "Types.Int32": o6.Int32(-323232),
    "Types.UInt32": o6.UInt32(323232),
    "Types.Int64": o6.Int64(-(2**63)),
    "Types.UInt64": o6.UInt64(2**64 - 1),
    "Types.Float": o6.Float(1.5),
    "Types.Double": 2.25,
    "Types.String": "Größe Ω",
    "Types.DateTime": LEAP_DAY,
    "Types.Guid": GUID,
    "Types.ByteString": b"\x00\x01\xff",
    "Types.XmlElement": o6.XmlElement("<a/>"),
    "Types.NodeId": o6.NodeId("i=2253"),
    "Types.ExpandedNodeId": o6.ExpandedNodeId("i=2253"),
    "Types.QualifiedName": o6.QualifiedName("name"),
    "Types.LocalizedText": TEXT,
    "Types.Phase": Phase.heating,
    "Extremes.SByteMin": o6.SByte(-128),
    "Extremes.SByteMax": o6.SByte(127),
    "Extremes.ByteMax": o6.Byte(255),
    "Extremes.Int16Min": o6.Int16(-32768),
    "Extremes.Int16Max": o6.Int16(32767),
    "Extremes.UInt16Max": o6.UInt16(65535),
    "Extremes.Int32Min": o6.Int32(-(2**31)),
    "Extremes.Int32Max": o6.Int32(2**31 - 1),
    "Extremes.UInt32Max": o6.UInt32(2**32 - 1),
    "Extremes.Int64Max": o6.Int64(2**63 - 1),
    "Extremes.FloatMax": o6.Float(3.4028234663852886e38),
    "Extremes.FloatNaN": o6.Float(math.nan),
    "Extremes.FloatInf": o6.Float(-math.inf),
    "Extremes.DoubleMax": sys.float_info.max,
    "Extremes.DoubleLeast": 5e-324,
    "Extremes.DoubleNaN": math.nan,
    "Extremes.DoubleInf": math.inf,
    "Extremes.StringEmpty": "",
    "Extremes.ByteStringEmpty": b"",
    "Extremes.GuidZero": uuid.UUID(int=0),
    "Extremes.DateTimeFirst": o6.DateTime("1677-09-22T00:00:00Z"),
    "Extremes.DateTimeLast": o6.DateTime("2262-04-11T00:00:00Z"),
    "Extremes.DateTimeNull": o6.DateTime("1601-01-01T00:00:00Z"),
    "Extremes.DateTimeEnd": o6.DateTime("9999-12-31T23:59:58Z"),
    "Arrays.Boolean": [False, True],
    "Arrays.Byte": np.array([7, 255], dtype=np.uint8),
    "Arrays.Int32": np.array([1, -2, 3], dtype=np.int32),
    "Arrays.Int64": np.array([0, -(2**63)], dtype=np.int64),
    "Arrays.Float": np.array([1.5, math.nan], dtype=np.float32),
    "Arrays.String": ["a", "b"],
    "Arrays.DateTime": [LEAP_DAY, LEAP_DAY],
    "Arrays.Guid": [GUID, GUID],
    "Arrays.ByteString": [b"\x00", b"\x01\x02"],
    "Arrays.LocalizedText": [TEXT, TEXT],
    "Arrays.Empty": np.array([], dtype=np.int32),
    "Arrays.Matrix": np.array([[1.0, 2.0], [3.0, 4.0]]),
    "Line.Speed": 12.5,
    "Line.Count": o6.Int32(7),
    "Counter": o6.UInt32(0),
}


class Users(o6.AccessControl):
    """Lets anna in and whoever comes without a name, and knows who is there."""

    def __init__(self, named):
        super().__init__(username=named)
        self.sessions = []

    def activateSession(self, endpoint, certificate, session, token):
        name, password = getattr(token, "userName", None), getattr(token, "password", None)
        if name is not None and (str(name), bytes(password)) != ("anna", b"secret"):
            raise o6.StatusCodeError(o6.StatusCode.BAD_IDENTITY_TOKEN_REJECTED)
        if session.id not in [other.id for other in self.sessions]:
            self.sessions.append(session)

    def closeSession(self, session):
        self.sessions = [other for other in self.sessions if other.id != session.id]


def certificate(folder, strict):
    """The server's certificate and key, made if they are not there, and whom it trusts."""
    os.makedirs(folder, exist_ok=True)
    public, private = os.path.join(folder, "server.der"), os.path.join(folder, "server.key")
    if not os.path.exists(public):
        key, made = o6.util.createSelfSignedCertificate(appUri=APPLICATION, altNames=["IP:127.0.0.1"])
        for path, content in ((private, key), (public, made)):
            with open(path, "wb") as file:
                file.write(content)
    clients = os.path.join(folder, "clients")
    os.makedirs(clients, exist_ok=True)
    # With an empty list it trusts everybody.
    trusted = [public, *(os.path.join(clients, name) for name in os.listdir(clients))]
    return {
        "certificate": public,
        "privateKey": private,
        "trustList": trusted,
        "acceptAllCertificates": not strict,
    }


class Peer:
    def __init__(self, options, port):
        self.users = Users(not options.plain)
        security = {} if options.plain else certificate(options.folder, options.strict)
        self.server = o6.Server(port=port, applicationUri=APPLICATION, accessControl=self.users, **security)
        self.nodes, self.subscriptions = {}, 0
        for index, uri in enumerate(options.namespaces.split(",")):
            if uri == PLANT:
                self.server.ns.append(sys.modules[__name__])
            else:
                self.server._add_namespace(uri, o6.ns.register(f"gwp{index}", uri).index)
        self.server.onSubscriptionNotification(self.subscribed)
        for name, value in VALUES.items():
            self.add(name, value)
        self.add("Line.Loose", 12.5, dataType="i=24")
        for number in range(options.nodes):
            self.add(f"Many.{number}", o6.Int32(number))

    def subscribed(self, notification):
        kinds = o6.NotificationType
        change = {kinds.SUBSCRIPTION_CREATED.value: 1, kinds.SUBSCRIPTION_DELETED.value: -1}
        self.subscriptions += change.get(int(notification.type), 0)

    def add(self, name, value, **more):
        node_id = o6.NodeId(f"ns=gwpplant;s={name}")
        self.nodes[name] = self.server.addVariable(name, self.server.objectsNode, value, nodeId=node_id, **more)

    def count(self):
        counter = o6.NodeId(self.nodes["Counter"])
        for number in itertools.count(1):
            time.sleep(0.1)
            self.server.write(counter, o6.UInt32(number))

    def obey(self, line):
        word, *rest = line.split()
        if word == "sessions":
            return str(len(self.users.sessions))
        if word == "subscriptions":
            return str(self.subscriptions)
        name = rest[0]
        whole = name if "." in name else f"Line.{name}"
        if word == "close":
            for session in list(self.users.sessions):
                session.close()
        elif word == "remove":
            self.server.deleteNode(o6.NodeId(self.nodes.pop(whole))).check()
        elif word == "add":
            self.add(whole, o6.Int32(7))
        elif word == "get":
            return str(self.server.read(o6.NodeId(self.nodes[name])))
        elif word == "set":
            node = o6.NodeId(self.nodes[name])
            kind = type(self.server.read(node))
            self.server.write(node, kind(rest[1])).check()
        else:
            return f"what is {word}?"
        return "ok"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def main():
    options = argparse.ArgumentParser()
    options.add_argument("folder")
    options.add_argument("--port", type=int, default=0)
    options.add_argument("--nodes", type=int, default=0)
    options.add_argument("--namespaces", default=PLANT)
    options.add_argument("--plain", action="store_true")
    options.add_argument("--strict", action="store_true")
    options = options.parse_args()
    logging.basicConfig(level=logging.ERROR)
    port = options.port or free_port()
    peer = Peer(options, port)
    peer.server.start()
    threading.Thread(target=peer.count, daemon=True).start()
    print(f"READY {port}", flush=True)
    while line := sys.stdin.readline():
        print(peer.obey(line), flush=True)
    os._exit(0)


main()
