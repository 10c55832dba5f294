"""What Kindling's sessions, Ansible modules and callback share."""
