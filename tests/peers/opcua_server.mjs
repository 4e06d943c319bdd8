// An OPC UA peer for tests: the server of node-opcua with known contents, on loopback. Started by opcua_node.sh.
//
// usage: opcua_server.mjs FOLDER [--port PORT] [--strict] [--nodes COUNT] [--namespaces URI,URI]
//                         [--items-per-call COUNT] [--items-per-subscription COUNT] [--items COUNT]
//                         [--subscriptions COUNT] [--nodes-per-read COUNT]
//
// FOLDER keeps its certificates; with --strict only clients come in over a secure channel whose certificate lies in
// FOLDER/pki/trusted/certs. The user is anna with the password secret. Port 0 takes a free one. Once it listens it
// prints `READY port`. --items-per-call .. --nodes-per-read: how many monitored items it takes in one call, in a
// subscription and in all, how many subscriptions of a session, and how many nodes in one call to read.
//
// Lines on standard input are carried out and answered with `ok` (or what was asked for):
//     remove NAME | add NAME     a node Line.NAME (add: an int32 of 7); a NAME with a dot is the whole name
//     set NAME VALUE             value of a number
//     get NAME                   its value
//     sessions | subscriptions   how many there are
//     sessions-made              number of sessions since the start
//     items COUNT                from now on so many monitored items in all
//     close drop | close keep    ends all sessions; their subscriptions end with them, or can be taken over
// At the end of the input it ends.
//
// Contents in the namespace urn:gwp:plant (which --namespaces puts at another index), below Objects/Plant:
//     s=Types.Boolean ..         one of each built-in type, s=Types.Recipe; s=Extremes.SByteMin ..; s=Arrays.Int32 ..
//     s=Line.Speed, s=Line.Count writable double and int32
//     s=Line.Loose               double in a node that may hold any type, which takes no deadband
//     s=Counter                  uint32 that counts each 100 ms
//     s=Many.0 ..                COUNT int32 nodes with their numbers
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";

const require = createRequire(join(process.env.GWP_NODE_OPCUA, "node_modules", "index.js"));
const opcua = require("node-opcua");
const { DataType, MessageSecurityMode, OPCUACertificateManager, OPCUAServer, SecurityPolicy, VariantArrayType } = opcua;

// Only what was asked for stands on standard output.
console.log = console.error;
const say = (line) => process.stdout.write(`${line}\n`);

const [folder, ...options] = process.argv.slice(2);
const strict = options.includes("--strict");
const text = (option, without) => {
    const at = options.indexOf(option);
    return at < 0 ? without : options[at + 1];
};
const number = (option) => Number(text(option, 0));
const PLANT = "urn:gwp:plant";

const freePort = () =>
    new Promise((resolve) => {
        const probe = createServer();
        probe.listen(0, "127.0.0.1", () => {
            const { port } = probe.address();
            probe.close(() => resolve(port));
        });
    });

// What it allows; nothing where it has its own bound.
const limits = {
    operationLimits: {
        ...(number("--items-per-call") && { maxMonitoredItemsPerCall: number("--items-per-call") }),
        ...(number("--nodes-per-read") && { maxNodesPerRead: number("--nodes-per-read") }),
    },
    ...(number("--items-per-subscription") && { maxMonitoredItemsPerSubscription: number("--items-per-subscription") }),
    ...(number("--items") && { maxMonitoredItems: number("--items") }),
    maxSubscriptionsPerSession: number("--subscriptions") || 100,
};

const port = number("--port") || (await freePort());
const server = new OPCUAServer({
    host: "127.0.0.1",
    hostname: "127.0.0.1",
    port,
    resourcePath: "/plant",
    serverInfo: { applicationUri: "urn:gwp:test:node-opcua", applicationName: { text: "node-opcua peer" } },
    serverCapabilities: limits,
    serverCertificateManager: new OPCUACertificateManager({
        automaticallyAcceptUnknownCertificate: !strict,
        rootFolder: join(folder, "pki"),
    }),
    userCertificateManager: new OPCUACertificateManager({
        automaticallyAcceptUnknownCertificate: false,
        rootFolder: join(folder, "users"),
    }),
    securityModes: [MessageSecurityMode.None, MessageSecurityMode.Sign, MessageSecurityMode.SignAndEncrypt],
    securityPolicies: [
        SecurityPolicy.None,
        SecurityPolicy.Basic256Sha256,
        SecurityPolicy.Aes128_Sha256_RsaOaep,
        SecurityPolicy.Aes256_Sha256_RsaPss,
    ],
    allowAnonymous: true,
    userManager: { isValidUser: (name, password) => name === "anna" && password === "secret" },
});
await server.initialize();

const { addressSpace } = server.engine;
for (const uri of text("--namespaces", PLANT).split(",")) {
    addressSpace.registerNamespace(uri);
}
const namespace = addressSpace.getNamespace(PLANT);
const plant = namespace.addFolder(addressSpace.rootFolder.objects, { browseName: "Plant", nodeId: "s=Plant" });
const nodes = new Map();
// `type` is that of the node where it is another one than the value's.
const variable = (name, dataType, value, { type = DataType[dataType], ...more } = {}) => {
    const arrayType = more.arrayType ?? VariantArrayType.Scalar;
    const dimensions = arrayType === VariantArrayType.Matrix ? more.arrayDimensions : undefined;
    const node = namespace.addVariable({
        componentOf: plant,
        browseName: name.split(".").pop(),
        nodeId: `s=${name}`,
        dataType: type,
        ...more,
        value: { dataType, value, arrayType, dimensions },
    });
    nodes.set(name, { node, dataType });
    return node;
};
const array = (name, dataType, value, more) =>
    variable(`Arrays.${name}`, dataType, value, {
        valueRank: 1,
        arrayType: VariantArrayType.Array,
        arrayDimensions: [value.length],
        ...more,
    });
const bytes = (...all) => Buffer.from(all);

const GUID = "12345678-1234-5678-1234-567812345678";
const TYPES = {
    Boolean: true,
    SByte: -8,
    Byte: 8,
    Int16: -1616,
    UInt16: 1616,
    Int32: -323232,
    UInt32: 323232,
    Int64: [0x80000000, 0],
    UInt64: [0xffffffff, 0xffffffff],
    Float: 1.5,
    Double: 2.25,
    String: "Größe Ω",
    DateTime: new Date("2024-02-29T12:00:00.500Z"),
    Guid: GUID,
    ByteString: bytes(0, 1, 255),
    XmlElement: "<a/>",
    NodeId: opcua.coerceNodeId("i=2253"),
    ExpandedNodeId: opcua.coerceExpandedNodeId("i=2253"),
    StatusCode: opcua.StatusCodes.BadOutOfService,
    QualifiedName: { namespaceIndex: 0, name: "name" },
    LocalizedText: { text: "text", locale: "en" },
};
const EXTREMES = [
    ["SByteMin", DataType.SByte, -128],
    ["SByteMax", DataType.SByte, 127],
    ["ByteMax", DataType.Byte, 255],
    ["Int16Min", DataType.Int16, -32768],
    ["Int16Max", DataType.Int16, 32767],
    ["UInt16Max", DataType.UInt16, 65535],
    ["Int32Min", DataType.Int32, -2147483648],
    ["Int32Max", DataType.Int32, 2147483647],
    ["UInt32Max", DataType.UInt32, 4294967295],
    ["Int64Max", DataType.Int64, [0x7fffffff, 0xffffffff]],
    ["FloatMax", DataType.Float, 3.4028234663852886e38],
    ["FloatNaN", DataType.Float, Number.NaN],
    ["FloatInf", DataType.Float, Number.NEGATIVE_INFINITY],
    ["DoubleMax", DataType.Double, Number.MAX_VALUE],
    ["DoubleLeast", DataType.Double, Number.MIN_VALUE],
    ["DoubleNaN", DataType.Double, Number.NaN],
    ["DoubleInf", DataType.Double, Number.POSITIVE_INFINITY],
    ["StringEmpty", DataType.String, ""],
    ["ByteStringEmpty", DataType.ByteString, bytes()],
    ["GuidZero", DataType.Guid, "00000000-0000-0000-0000-000000000000"],
    ["DateTimeFirst", DataType.DateTime, new Date("1677-09-22T00:00:00Z")],
    ["DateTimeLast", DataType.DateTime, new Date("2262-04-11T00:00:00Z")],
    ["DateTimeNull", DataType.DateTime, new Date("1601-01-01T00:00:00Z")],
    ["DateTimeEnd", DataType.DateTime, new Date("9999-12-31T23:59:58Z")],
];

const counter = variable("Counter", DataType.UInt32, 0);
variable("Line.Speed", DataType.Double, 12.5);
variable("Line.Count", DataType.Int32, 7);
variable("Line.Loose", DataType.Double, 12.5, { type: "BaseDataType" });
for (const [name, value] of Object.entries(TYPES)) {
    variable(`Types.${name}`, DataType[name], value);
}
const phase = namespace.addEnumerationType({ browseName: "Phase", enumeration: ["idle", "heating", "done"] });
variable("Types.Phase", DataType.Int32, 1, { type: phase });
const structure = (browseName, fields) => {
    const partialDefinition = Object.entries(fields).map(([name, [dataType, valueRank]]) => ({
        name,
        dataType: opcua.resolveNodeId(dataType),
        valueRank,
    }));
    const type = namespace.createDataType({ browseName, isAbstract: false, subtypeOf: "Structure", partialDefinition });
    namespace.addObject({
        browseName: { name: "Default Binary", namespaceIndex: 0 },
        encodingOf: type,
        typeDefinition: "DataTypeEncodingType",
    });
    return type;
};
const step = structure("Step", { temperature: ["Double", -1], minutes: ["Int16", -1] });
const recipe = structure("Recipe", { name: ["String", -1], first: [step.nodeId, -1], numbers: ["Int32", 1] });
// It has read its types before there were these.
delete addressSpace.$$extraDataTypeManager;
await opcua.ensureDatatypeExtracted(addressSpace);
const bread = { name: "bread", first: { temperature: 210.5, minutes: 40 }, numbers: [1, 2, 3] };
variable("Types.Recipe", DataType.ExtensionObject, addressSpace.constructExtensionObject(recipe, bread), { type: recipe });
for (const [name, dataType, value] of EXTREMES) {
    variable(`Extremes.${name}`, dataType, value);
}
array("Boolean", DataType.Boolean, [false, true]);
array("Byte", DataType.Byte, new Uint8Array([7, 255]));
array("Int32", DataType.Int32, new Int32Array([1, -2, 3]));
array("Int64", DataType.Int64, [[0, 0], [0x80000000, 0]]);
array("Float", DataType.Float, new Float32Array([1.5, Number.NaN]));
array("String", DataType.String, ["a", "b"]);
array("DateTime", DataType.DateTime, [TYPES.DateTime, TYPES.DateTime]);
array("Guid", DataType.Guid, [GUID, GUID]);
array("ByteString", DataType.ByteString, [bytes(0), bytes(1, 2)]);
array("LocalizedText", DataType.LocalizedText, [TYPES.LocalizedText, TYPES.LocalizedText]);
array("Empty", DataType.Int32, new Int32Array([]), { arrayDimensions: [0] });
array("Variant", DataType.Variant, [{ dataType: DataType.Int32, value: 5 }, { dataType: DataType.String, value: "x" }], {
    type: "BaseDataType",
});
array("Matrix", DataType.Double, new Float64Array([1, 2, 3, 4]), {
    valueRank: 2,
    arrayType: VariantArrayType.Matrix,
    arrayDimensions: [2, 2],
});
for (let index = 0; index < number("--nodes"); index += 1) {
    variable(`Many.${index}`, DataType.Int32, index);
}
let count = 0;
const counting = setInterval(() => {
    count += 1;
    counter.setValueFromSource({ dataType: DataType.UInt32, value: count });
}, 100);

const sessions = () => Object.keys(server.engine._sessions);
const whole = (name) => (name.includes(".") ? name : `Line.${name}`);
const obey = (line) => {
    const [word, name, value] = line.split(" ");
    switch (word) {
        case "sessions":
            return sessions().length;
        case "sessions-made":
            return server.engine.cumulatedSessionCount;
        case "subscriptions":
            return server.engine.currentSubscriptionCount;
        case "items":
            server.engine.serverCapabilities.maxMonitoredItems = Number(name);
            return "ok";
        case "close":
            sessions().forEach((token) => server.engine.closeSession(server.engine._sessions[token].authenticationToken, name === "drop", "Forcing"));
            return "ok";
        case "remove":
            addressSpace.deleteNode(nodes.get(whole(name)).node.nodeId);
            nodes.delete(whole(name));
            return "ok";
        case "add":
            variable(whole(name), DataType.Int32, 7);
            return "ok";
        case "get":
            return nodes.get(name).node.readValue().value.value;
        case "set": {
            const { node, dataType } = nodes.get(name);
            node.setValueFromSource({ dataType, value: Number(value) });
            return "ok";
        }
        default:
            return `what is ${word}?`;
    }
};

await server.start();
say(`READY ${port}`);
const lines = createInterface({ input: process.stdin });
lines.on("line", (line) => say(obey(line.trim())));
lines.on("close", async () => {
    clearInterval(counting);
    await server.shutdown(0);
    process.exit(0);
});
