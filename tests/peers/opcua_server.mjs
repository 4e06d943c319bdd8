// An OPC UA peer for tests: the server of node-opcua with known contents, on loopback. Started by opcua_node.sh.
//
// usage: opcua_server.mjs FOLDER [--port PORT] [--strict] [--nodes COUNT]
//
// FOLDER keeps its certificates; with --strict only clients come in over a secure channel whose certificate lies in
// FOLDER/pki/trusted/certs. The user is anna with the password secret. Port 0 takes a free one. Once it listens it
// prints `READY port`; at the end of standard input it ends.
//
// Contents in the namespace urn:gwp:plant, below Objects/Plant: s=Counter (uint32, each 100 ms another value),
// s=Line.Speed (double, writable), s=Line.Count (int32), s=Arrays.Int32; COUNT int32 nodes s=Many.0 .. with their
// numbers.
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { join } from "node:path";

const require = createRequire(join(process.env.GWP_NODE_OPCUA, "node_modules", "index.js"));
const { DataType, MessageSecurityMode, OPCUACertificateManager, OPCUAServer, SecurityPolicy, Variant, VariantArrayType } =
    require("node-opcua");

const [folder, ...options] = process.argv.slice(2);
const strict = options.includes("--strict");
const number = (option) => {
    const at = options.indexOf(option);
    return at < 0 ? 0 : Number(options[at + 1]);
};
const wanted = number("--port");

const freePort = () =>
    new Promise((resolve) => {
        const probe = createServer();
        probe.listen(0, "127.0.0.1", () => {
            const { port } = probe.address();
            probe.close(() => resolve(port));
        });
    });

const port = wanted || (await freePort());
const server = new OPCUAServer({
    host: "127.0.0.1",
    hostname: "127.0.0.1",
    port,
    resourcePath: "/plant",
    serverInfo: { applicationUri: "urn:gwp:test:node-opcua", applicationName: { text: "node-opcua peer" } },
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
const namespace = addressSpace.registerNamespace("urn:gwp:plant");
const plant = namespace.addFolder(addressSpace.rootFolder.objects, { browseName: "Plant", nodeId: "s=Plant" });
const variable = (name, dataType, value, more = {}) =>
    namespace.addVariable({
        componentOf: plant,
        browseName: name.split(".").pop(),
        nodeId: `s=${name}`,
        dataType,
        value: { dataType, value, ...more },
    });
const counter = variable("Counter", DataType.UInt32, 0);
variable("Line.Speed", DataType.Double, 12.5);
variable("Line.Count", DataType.Int32, 7);
namespace.addVariable({
    componentOf: plant,
    browseName: "Int32",
    nodeId: "s=Arrays.Int32",
    dataType: DataType.Int32,
    valueRank: 1,
    arrayDimensions: [3],
    value: { dataType: DataType.Int32, arrayType: VariantArrayType.Array, value: new Int32Array([1, -2, 3]) },
});
for (let index = 0; index < number("--nodes"); index += 1) {
    variable(`Many.${index}`, DataType.Int32, index);
}
let count = 0;
const counting = setInterval(() => {
    count += 1;
    counter.setValueFromSource(new Variant({ dataType: DataType.UInt32, value: count }));
}, 100);

await server.start();
console.log(`READY ${port}`);
process.stdin.resume();
process.stdin.on("end", async () => {
    clearInterval(counting);
    await server.shutdown(0);
    process.exit(0);
});
