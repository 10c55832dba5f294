// Each icon is a module of its own, which build.js makes from @mdi/js: the package has 23,000 files.
