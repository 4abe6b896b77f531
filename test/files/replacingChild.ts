// A process of its own that replaces a folder and is killed before one of its system calls, by number; it
// runs from dist/. Arguments: the folder, the call (from 1; a number beyond the last call lets it end), text.
import { writeDirectoryAtomically } from "../../runtime/files/atomicDirectory.ts";
import { type FileSystem, nodeFileSystem } from "../../runtime/files/fileSystem.ts";

const [folder = "", call = "0", text = ""] = process.argv.slice(2);
let calls = 0;

const killed = new Proxy<FileSystem>(
  { ...nodeFileSystem },
  {
    get(target, name: keyof FileSystem) {
      return async (...parameters: unknown[]) => {
        calls += 1;
        if (calls === Number(call)) process.kill(process.pid, "SIGKILL");
        return (target[name] as (...all: unknown[]) => unknown)(...parameters);
      };
    },
  },
);

const files = new Map([
  ["list.json", JSON.stringify({ format: "test", files: ["list.json", "a", "sub"] })],
  ["a", text],
  ["sub/b", text],
]);
const encoded = new Map([...files].map(([name, content]) => [name, new TextEncoder().encode(content)]));
await writeDirectoryAtomically(folder, encoded, { replace: true, fileSystem: killed });
process.stdout.write(`done after ${calls} calls\n`);
