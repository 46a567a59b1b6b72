import { createTheme, rem, type CSSVariablesResolver, type MantineColorsTuple } from '@mantine/core';

export const APP_NAME = 'WhatsApp CRM';

// Ours: a deep green-blue, dark enough at 8 for white text (WCAG AA).
const lagoon: MantineColorsTuple = [
  '#e9f8f5',
  '#d2efe9',
  '#a6dfd4',
  '#75cfbe',
  '#4cbfaa',
  '#30b39b',
  '#1da38b',
  '#118f79',
  '#0b7a68',
  '#075c50',
];

// A grey with a trace of the primary colour, for surfaces in the dark.
const dark: MantineColorsTuple = [
  '#dbe4e3',
  '#b4c1c0',
  '#8e9d9b',
  '#647371',
  '#3d4b4a',
  '#2b3837',
  '#202b2b',
  '#172020',
  '#111919',
  '#0b1111',
];

export const theme = createTheme({
  primaryColor: 'lagoon',
  primaryShade: 8,
  colors: { lagoon, dark },
  defaultRadius: 'md',
  cursorType: 'pointer',
  fontFamily: 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif',
  headings: { fontWeight: '650', sizes: { h1: { fontSize: rem(30) }, h2: { fontSize: rem(22) } } },
  components: {
    Paper: { defaultProps: { radius: 'lg' } },
    Modal: { defaultProps: { centered: true, radius: 'lg' } },
    Button: { styles: { label: { fontWeight: 600 } } },
  },
});

export const cssVariables: CSSVariablesResolver = () => ({
  variables: {},
  light: {
    '--app-canvas': '#f3f6f6',
    '--app-panel': '#ffffff',
    '--app-line': '#e1e8e7',
    '--app-hover': '#f1f5f5',
    '--app-selected': '#e3f3f0',
    '--app-thread': '#eef3f2',
    '--app-bubble-in': '#ffffff',
    '--app-bubble-out': '#d3efe8',
    '--app-shadow': '0 1px 2px rgb(16 42 38 / 8%)',
    '--app-accent-text': lagoon[8],
    '--app-demo': '#fff3cd',
    '--app-demo-text': '#5f4700',
    '--mantine-color-body': '#ffffff',
    '--mantine-color-dimmed': '#5c6b69',
    '--mantine-color-placeholder': '#75827f',
  },
  dark: {
    '--app-canvas': dark[8],
    '--app-panel': dark[7],
    '--app-line': dark[5],
    '--app-hover': '#1d2827',
    '--app-selected': '#1b3a36',
    '--app-thread': dark[8],
    '--app-bubble-in': dark[6],
    '--app-bubble-out': '#0e4a41',
    '--app-shadow': '0 1px 2px rgb(0 0 0 / 40%)',
    '--app-accent-text': lagoon[3],
    '--mantine-color-error': '#ff8a80',
    '--app-demo': '#3d3010',
    '--app-demo-text': '#ffe08a',
    '--mantine-color-dimmed': '#98a8a6',
  },
});
