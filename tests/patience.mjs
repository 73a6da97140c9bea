// How long the tests wait for what should come, as a factor of what a quiet machine needs at most.
// Where more processes want to run than there are processors, all takes longer by as much, and the
// load average tells of it a minute late. A limit only ends a test that would hang, so it is large.
import os from 'node:os';

const LEAST = 4;
const MOST = 12;

const CPUS = os.cpus().length;

let looked = -Infinity; // when, in ms
let factor = LEAST;

// Looks once a second at most: it is asked for with each request, and to look costs more than one.
export function patience() {
  if (performance.now() - looked > 1000) {
    looked = performance.now();
    factor = Math.min(MOST, Math.max(LEAST, 2 * os.loadavg()[0] / CPUS));
  }
  return factor;
}
