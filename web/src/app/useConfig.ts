import { useQuery } from '@tanstack/react-query';
import { fetchConfig, PRODUCTION } from '../api/config';
import { keys } from '../api/keys';

export function useConfig() {
  const { data } = useQuery({
    queryKey: keys.config,
    queryFn: ({ signal }) => fetchConfig(signal),
    staleTime: Infinity,
    gcTime: Infinity,
  });
  return data ?? PRODUCTION;
}
