/** Light, dark, or as the system has it; remembered. */
import { ref } from 'vue'

const KEY = 'workbook-theme'
const dark = matchMedia('(prefers-color-scheme: dark)')

export const theme = ref(localStorage.getItem(KEY) ?? 'system')

export function applyTheme() {
  const chosen = theme.value === 'system' ? (dark.matches ? 'dark' : 'light') : theme.value
  document.documentElement.dataset.theme = chosen
}
dark.addEventListener('change', applyTheme)

export function toggleTheme() {
  theme.value = document.documentElement.dataset.theme === 'dark' ? 'light' : 'dark'
  localStorage.setItem(KEY, theme.value)
  applyTheme()
}
