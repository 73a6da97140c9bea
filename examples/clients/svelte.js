// Svelte: const temp = topic('temp'); and in the markup {$temp}
import { readable } from 'svelte/store';
import connect from './rtpush.js';

export const topic = (name) => readable('', (set) => {
    const client = connect({ topics: [name], onEvent: (_, data) => set(data) });
    return () => client.close();
});
