// What the tests of pages check with.

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms).unref());

export function check(condition, words) {
    if (!condition) {
        throw new Error(words);
    }
}

export function same(actual, expected, words) {
    check(JSON.stringify(actual) === JSON.stringify(expected),
        `${words}: ${JSON.stringify(actual)} instead of ${JSON.stringify(expected)}`);
}
