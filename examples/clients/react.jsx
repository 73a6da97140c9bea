// React: const temp = useTopic('temp');
import { useEffect, useState } from 'react';
import connect from './rtpush.js';

export function useTopic(topic) {
    const [value, set] = useState('');
    useEffect(() => {
        const client = connect({ topics: [topic], onEvent: (name, data) => set(data) });
        return () => client.close();
    }, [topic]);
    return value;
}
