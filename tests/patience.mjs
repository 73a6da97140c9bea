// How long the tests wait for what should come. A limit is written for a machine that has a
// processor for each process that wants one; where more want to run, all takes longer by as much.
import os from 'node:os';

const MOST = 8;

export function patience() {
  return Math.min(MOST, Math.max(1, os.loadavg()[0] / os.cpus().length));
}
