// Vue: const temp = useTopic('temp');
import { onScopeDispose, ref } from 'vue';
import connect from './rtpush.js';

export function useTopic(topic) {
    const value = ref('');
    const client = connect({ topics: [topic], onEvent: (name, data) => { value.value = data; } });
    onScopeDispose(() => client.close());
    return value;
}
