"""An OPC UA peer for tests: the server of asyncua (Python, 2.1.0) with known contents, on loopback.

usage: opcua_server.py FOLDER [--port PORT] [--name HOST] [--strict] [--nodes COUNT] [--period MS]
                       [--namespaces URI,URI] [--user-certificate FILE] [--plain] [--whole-transfer]

FOLDER keeps the server's certificate (server.der, server.pem), made at the first start for HOST (default
127.0.0.1). Port 0 takes a free one. Once it listens it prints `READY port`. With --strict only clients may
come in over a secure channel whose certificate lies in FOLDER/clients when they come; others are written to
FOLDER/strangers. --plain: no security at all. The user is anna with the password secret; --user-certificate
names the one certificate of a user that is let in (other certificates with a name beginning with `user` are
not). A subscription that a new session has taken over says nothing any more in this version, as it waits for
publish requests of the connection that is gone; with --whole-transfer that is mended.

Lines on standard input are carried out and answered with `ok` (or what was asked for):
    remove NAME | add NAME     a node Line.NAME (add: an int32 of 7)
    set NAME VALUE             value of an int32 or double
    get NAME                   its value
    sessions | subscriptions   how many there are
    close drop | close keep    ends all sessions; their subscriptions end with them, or can be taken over
    level NUMBER               its ServiceLevel
At the end of the input it ends.

Contents in the namespace urn:gwp:plant (which --namespaces puts at another index), below Objects/Plant:
    s=Types.Boolean ..         one of each built-in type and a null, s=Types.Recipe; s=Extremes.SByteMin ..;
                               s=Arrays.Int32 .., s=Arrays.Matrix
    s=Line.Speed, s=Line.Count writable double and int32
    s=Counter                  uint32 that counts each MS milliseconds (default 100), with history
    s=Past                     double with 1,000 values of history, one a second from 2024-01-01 on
    s=Many.0 ..                COUNT int32 nodes: 1,500 in one folder, then folders of 500
    s=Measured.Oil ..          doubles with engineering units; Profile is an array, Planned one without a value
"""

import argparse
import asyncio
import datetime
import ipaddress
import logging
import math
import os
import socket
import sys
import uuid

from asyncua import Server, ua
from asyncua.common.structures104 import new_enum, new_struct, new_struct_field
from asyncua.crypto import cert_gen, uacrypto
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.subscription_service import SubscriptionService
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PLANT = "urn:gwp:plant"
APPLICATION = "urn:gwp:test:asyncua"
START = datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc)
GUID = uuid.UUID("12345678-1234-5678-1234-567812345678")
LEAP_DAY = datetime.datetime(2024, 2, 29, 12, 0, 0, 500000, tzinfo=datetime.timezone.utc)

TYPES = [
    ("Boolean", True),
    ("SByte", -8),
    ("Byte", 8),
    ("Int16", -1616),
    ("UInt16", 1616),
    ("Int32", -323232),
    ("UInt32", 323232),
    ("Int64", -(2**63)),
    ("UInt64", 2**64 - 1),
    ("Float", 1.5),
    ("Double", 2.25),
    ("String", "Größe Ω"),
    ("DateTime", LEAP_DAY),
    ("Guid", GUID),
    ("ByteString", b"\x00\x01\xff"),
    ("XmlElement", ua.XmlElement("<a/>")),
    ("NodeId", ua.NodeId(2253, 0)),
    ("ExpandedNodeId", ua.ExpandedNodeId(2253, 0)),
    ("StatusCode", ua.StatusCode(ua.StatusCodes.BadOutOfService)),
    ("QualifiedName", ua.QualifiedName("name", 0)),
    ("LocalizedText", ua.LocalizedText("text", "en")),
    ("DataValue", ua.DataValue(ua.Variant(5, ua.VariantType.Int32))),
]

EXTREMES = [
    ("SByteMin", "SByte", -128),
    ("SByteMax", "SByte", 127),
    ("ByteMax", "Byte", 255),
    ("Int16Min", "Int16", -32768),
    ("Int16Max", "Int16", 32767),
    ("UInt16Max", "UInt16", 65535),
    ("Int32Min", "Int32", -(2**31)),
    ("Int32Max", "Int32", 2**31 - 1),
    ("UInt32Max", "UInt32", 2**32 - 1),
    ("Int64Max", "Int64", 2**63 - 1),
    ("FloatMax", "Float", 3.4028234663852886e38),
    ("FloatNaN", "Float", math.nan),
    ("FloatInf", "Float", -math.inf),
    ("DoubleMax", "Double", sys.float_info.max),
    ("DoubleLeast", "Double", 5e-324),
    ("DoubleNaN", "Double", math.nan),
    ("DoubleInf", "Double", math.inf),
    ("StringEmpty", "String", ""),
    ("ByteStringEmpty", "ByteString", b""),
    ("GuidZero", "Guid", uuid.UUID(int=0)),
    ("DateTimeFirst", "DateTime", datetime.datetime(1677, 9, 22, tzinfo=datetime.timezone.utc)),
    ("DateTimeLast", "DateTime", datetime.datetime(2262, 4, 11, tzinfo=datetime.timezone.utc)),
    ("DateTimeNull", "DateTime", datetime.datetime(1601, 1, 1, tzinfo=datetime.timezone.utc)),
    ("DateTimeEnd", "DateTime", datetime.datetime(9999, 12, 31, 23, 59, 58, tzinfo=datetime.timezone.utc)),
]

ARRAYS = [
    ("Boolean", "Boolean", [False, True]),
    ("Byte", "Byte", [7, 255]),
    ("Int32", "Int32", [1, -2, 3]),
    ("Int64", "Int64", [0, -(2**63)]),
    ("Float", "Float", [1.5, math.nan]),
    ("String", "String", ["a", "b"]),
    ("DateTime", "DateTime", [LEAP_DAY, LEAP_DAY]),
    ("Guid", "Guid", [GUID, GUID]),
    ("ByteString", "ByteString", [b"\x00", b"\x01\x02"]),
    ("LocalizedText", "LocalizedText", [ua.LocalizedText("text", "en"), ua.LocalizedText("text", "en")]),
    ("Empty", "Int32", []),
    ("Variant", "Variant", [ua.Variant(5, ua.VariantType.Int32), ua.Variant("x", ua.VariantType.String)]),
]


class Users:
    """anna, certificates of --user-certificate, and whoever comes without a name."""

    def __init__(self, certificate):
        self.certificate = certificate

    def get_user(self, iserver, username=None, password=None, certificate=None):
        if username is not None:
            right = (username, password) in (("anna", "secret"), ("anna", b"secret"))
            return User(role=UserRole.Admin, name=username) if right else None
        if certificate:
            names = x509.load_der_x509_certificate(certificate).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
            if names and names[0].value.startswith("user"):
                known = self.certificate and certificate == self.certificate
                return User(role=UserRole.User, name=names[0].value) if known else None
        return User(role=UserRole.User)


class Strict:
    """Lets clients in whose certificate lies in a folder."""

    def __init__(self, folder):
        self.clients, self.strangers = (os.path.join(folder, name) for name in ("clients", "strangers"))
        for path in (self.clients, self.strangers):
            os.makedirs(path, exist_ok=True)

    async def __call__(self, certificate, description):
        der = certificate.public_bytes(Encoding.DER)
        for name in os.listdir(self.clients):
            with open(os.path.join(self.clients, name), "rb") as file:
                if file.read() == der:
                    return
        with open(os.path.join(self.strangers, "last.der"), "wb") as file:
            file.write(der)
        raise ua.uaerrors.BadCertificateUntrusted()


def whole_transfer():
    """A subscription that is taken over asks the new connection for publish requests."""
    transfer = SubscriptionService.transfer_subscriptions

    async def mended(self, params, session_id, callback):
        results = await transfer(self, params, session_id, callback)
        for number in params.SubscriptionIds:
            if subscription := self.subscriptions.get(number):
                subscription.pub_request_callback = callback.__self__.get_publish_request
        return results

    SubscriptionService.transfer_subscriptions = mended


def make_certificate(folder, host):
    certificate, key = os.path.join(folder, "server.der"), os.path.join(folder, "server.pem")
    if not os.path.exists(certificate):
        made = cert_gen.generate_private_key()
        try:
            name = x509.IPAddress(ipaddress.ip_address(host))
        except ValueError:
            name = x509.DNSName(host)
        names = [x509.UniformResourceIdentifier(APPLICATION), name]
        usage = [ExtendedKeyUsageOID.SERVER_AUTH]
        signed = cert_gen.generate_self_signed_app_certificate(made, "asyncua peer", {}, names, usage)
        with open(key, "wb") as file:
            file.write(cert_gen.dump_private_key_as_pem(made))
        with open(certificate, "wb") as file:
            file.write(signed.public_bytes(Encoding.DER))
    return certificate, key


class Contents:
    """The address space."""

    def __init__(self, server, options):
        self.server, self.options, self.nodes = server, options, {}

    async def variable(self, parent, name, value, kind, writable=False):
        node_id = ua.NodeId(name, self.index)
        browse = ua.QualifiedName(name.split(".")[-1], self.index)
        # A list of values of any type has no type of its own.
        datatype = ua.NodeId(ua.ObjectIds.BaseDataType) if kind == ua.VariantType.Variant else None
        node = await parent.add_variable(node_id, browse, value, kind, datatype)
        if writable:
            await node.set_writable()
        self.nodes[name] = node
        return node

    async def folder(self, parent, name):
        return await parent.add_folder(ua.NodeId(name, self.index), ua.QualifiedName(name, self.index))

    async def make(self):
        for uri in self.options.namespaces.split(","):
            await self.server.register_namespace(uri)
        self.index = await self.server.get_namespace_index(PLANT)
        plant = await self.folder(self.server.nodes.objects, "Plant")
        self.line = await self.folder(plant, "Line")
        names = ("Types", "Extremes", "Arrays", "Many")
        types, extremes, arrays, many = [await self.folder(plant, name) for name in names]
        for name, value in TYPES:
            await self.variable(types, f"Types.{name}", value, getattr(ua.VariantType, name))
        null = await self.variable(types, "Types.Null", 0.0, ua.VariantType.Double)
        nothing = ua.DataValue(ua.Variant(None, ua.VariantType.Null))
        self.server.set_attribute_value_callback(null.nodeid, lambda node_id, attribute: nothing)
        await self.structures(types)
        for name, kind, value in EXTREMES:
            await self.variable(extremes, f"Extremes.{name}", value, getattr(ua.VariantType, kind))
        for name, kind, value in ARRAYS:
            await self.variable(arrays, f"Arrays.{name}", value, getattr(ua.VariantType, kind))
        matrix = ua.Variant([[1.0, 2.0], [3.0, 4.0]], ua.VariantType.Double)
        await self.variable(arrays, "Arrays.Matrix", matrix, ua.VariantType.Double)
        await self.variable(self.line, "Line.Speed", 12.5, ua.VariantType.Double, writable=True)
        await self.variable(self.line, "Line.Count", 7, ua.VariantType.Int32, writable=True)
        self.counter = await self.variable(plant, "Counter", 0, ua.VariantType.UInt32)
        self.past = await self.variable(plant, "Past", 0.0, ua.VariantType.Double)
        # asyncua compares each new node with all in its folder: 10,000 in one would take minutes.
        parent = many
        for number in range(self.options.nodes):
            if number >= 1_500 and number % 500 == 0:
                parent = await self.folder(many, f"Many.from{number}")
            await self.variable(parent, f"Many.{number}", number, ua.VariantType.Int32, writable=number < 10)
        await self.measured(await self.folder(plant, "Measured"))

    async def measured(self, parent):
        for name, value, unit in [
            ("Oil", 71.5, "°C"),
            ("Way", 3.0, "furlong"),
            ("Profile", [1.5, 2.5, 3.5], "bar"),
        ]:
            node = await self.variable(parent, f"Measured.{name}", value, ua.VariantType.Double)
            information = ua.EUInformation(
                NamespaceUri="http://www.opcfoundation.org/UA/units/un/cefact", DisplayName=ua.LocalizedText(unit)
            )
            node_id = ua.NodeId(f"Measured.{name}.EngineeringUnits", self.index)
            await node.add_property(node_id, ua.QualifiedName("EngineeringUnits", 0), information)
        # Four elements, of which there is no value yet.
        planned = await self.variable(parent, "Measured.Planned", [0.0], ua.VariantType.Double)
        await planned.write_value_rank(ua.ValueRank.OneDimension)
        await planned.write_array_dimensions([4])
        nothing = ua.DataValue(ua.Variant(None, ua.VariantType.Null))
        self.server.set_attribute_value_callback(planned.nodeid, lambda node_id, attribute: nothing)

    async def structures(self, parent):
        step, _ = await new_struct(
            self.server,
            self.index,
            "Step",
            [new_struct_field("temperature", ua.VariantType.Double), new_struct_field("minutes", ua.VariantType.Int16)],
        )
        phase = await new_enum(self.server, self.index, "Phase", ["idle", "heating", "done"])
        await new_struct(
            self.server,
            self.index,
            "Recipe",
            [
                new_struct_field("name", ua.VariantType.String),
                new_struct_field("first", step),
                new_struct_field("numbers", ua.VariantType.Int32, array=True),
            ],
        )
        await self.server.load_data_type_definitions()
        recipe = ua.Recipe(name="bread", first=ua.Step(temperature=210.5, minutes=40), numbers=[1, 2, 3])
        await self.variable(parent, "Types.Recipe", recipe, ua.VariantType.ExtensionObject)
        node = await self.variable(parent, "Types.Phase", 1, ua.VariantType.Int32)
        await node.write_attribute(ua.AttributeIds.DataType, ua.DataValue(ua.Variant(phase.nodeid)))

    async def keep_history(self):
        for node in (self.counter, self.past):
            await self.server.historize_node_data_change(node, period=None, count=20_000)
        storage = self.server.iserver.history_manager.storage
        for second in range(1_000):
            time = START + datetime.timedelta(seconds=second)
            value = ua.Variant(second / 2, ua.VariantType.Double)
            status = ua.StatusCode(ua.StatusCodes.BadSensorFailure if second == 500 else ua.StatusCodes.Good)
            value = ua.DataValue(value, status, SourceTimestamp=time, ServerTimestamp=time)
            await storage.save_node_value(self.past.nodeid, value)

    async def count(self):
        number = 0
        while True:
            await asyncio.sleep(self.options.period / 1000)
            number += 1
            await self.counter.write_value(number, ua.VariantType.UInt32)

    async def obey(self, line):
        word, *rest = line.split()
        server = self.server.iserver
        if word == "sessions":
            return str(len(server._external_sessions))
        if word == "subscriptions":
            # Its own, for history, need no publish requests.
            clients = [found for found in server.subscription_service.subscriptions.values() if found.pub_request_callback]
            return str(len(clients))
        if word == "level":
            level = self.server.get_node(ua.ObjectIds.Server_ServiceLevel)
            await level.write_value(int(rest[0]), ua.VariantType.Byte)
            return "ok"
        name = rest[0]
        if word == "close":
            for session in list(server._external_sessions.values()):
                await session.close_session(name == "drop")
            return "ok"
        if word == "remove":
            await self.server.delete_nodes([self.nodes.pop(f"Line.{name}")])
        elif word == "add":
            await self.variable(self.line, f"Line.{name}", 7, ua.VariantType.Int32, writable=True)
        elif word == "get":
            return str(await self.nodes[name].read_value())
        elif word == "set":
            node = self.nodes[name]
            kind = await node.read_data_type_as_variant_type()
            value = float(rest[1]) if kind == ua.VariantType.Double else int(rest[1])
            await node.write_value(value, kind)
        else:
            return f"what is {word}?"
        return "ok"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def main():
    options = argparse.ArgumentParser()
    options.add_argument("folder")
    options.add_argument("--port", type=int, default=0)
    options.add_argument("--name", default="127.0.0.1")
    options.add_argument("--strict", action="store_true")
    options.add_argument("--plain", action="store_true")
    options.add_argument("--whole-transfer", action="store_true")
    options.add_argument("--nodes", type=int, default=0)
    options.add_argument("--period", type=int, default=100)
    options.add_argument("--namespaces", default=f"{PLANT},urn:gwp:other")
    options.add_argument("--user-certificate")
    options = options.parse_args()
    logging.basicConfig(level=logging.ERROR)

    if options.whole_transfer:
        whole_transfer()
    certificate = None
    if options.user_certificate:
        certificate = uacrypto.der_from_x509(await uacrypto.load_certificate(options.user_certificate))
    server = Server(user_manager=Users(certificate))
    await server.init()
    await server.set_application_uri(APPLICATION)
    server.set_server_name("asyncua peer")
    port = options.port or free_port()
    server.set_endpoint(f"opc.tcp://127.0.0.1:{port}/plant/")
    server.set_identity_tokens([ua.AnonymousIdentityToken, ua.UserNameIdentityToken, ua.X509IdentityToken])
    if options.plain:
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    else:
        os.makedirs(options.folder, exist_ok=True)
        made, key = make_certificate(options.folder, options.name)
        await server.load_certificate(made)
        await server.load_private_key(key)
    if options.strict:
        server.iserver.certificate_validator = Strict(options.folder)
    contents = Contents(server, options)
    await contents.make()
    async with server:
        await contents.keep_history()
        counting = asyncio.create_task(contents.count())
        print(f"READY {port}", flush=True)
        loop = asyncio.get_running_loop()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            print(await contents.obey(line), flush=True)
        counting.cancel()
    os._exit(0)


asyncio.run(main())
