import '@graphtide/client/vue'
import { createApp } from 'vue'
import App from './App.vue'
import './style.css'
import { applyTheme } from './theme.js'

applyTheme()
createApp(App).mount('#app')
