"""A front end that npm builds: a package with a lock, and a script that writes dist/index.txt."""

PACKAGE = '{"name": "front", "private": true, "scripts": {"build": "node build.js"}, "dependencies": {"picocolors": "1.1.1"}}\n'
LOCK = """\
{
  "name": "front", "lockfileVersion": 3, "requires": true,
  "packages": {
    "": {"name": "front", "dependencies": {"picocolors": "1.1.1"}},
    "node_modules/picocolors": {
      "version": "1.1.1",
      "integrity": "sha512-xceH2snhtb5M9liqDsmEw56le376mTZkEX/jEb/RxNFyegNul7eNslCXP9FDj/Lcu0X8KEyMceP2ntpaHrDEVA=="
    }
  }
}
"""
FRONT = """\
const fs = require("fs");
const { spawnSync } = require("child_process");
require("picocolors");
const said = spawnSync(process.execPath, ["-p", "6 * 7"], { encoding: "utf8" }).stdout.trim();
fs.mkdirSync("dist", { recursive: true });
fs.writeFileSync("dist/index.txt", `WORDS ${process.env.GREETING} ${said}`);
console.log("built", process.version, process.getuid());
"""
